//! What the reference answered to these lines.

use crate::testing::Fixture;
use kinovar_command::Protocol;

/// Setting and showing expiries.
const EXPIRING: &[(&str, &str)] = &[
    ("HSET h a 1 b 2 c 3", ":3"),
    ("HSET h a", "-ERR wrong number of arguments for 'hset' command"),
    ("HSET h a 1 b", "-ERR wrong number of arguments for 'hset' command"),
    ("HMSET h a 1 b", "-ERR wrong number of arguments for 'hmset' command"),
    ("HMSET h a 1", "+OK"),
    ("HEXPIRE h 10 FIELDS 1", "-ERR wrong number of arguments for 'hexpire' command"),
    ("HEXPIRE h 10 FIELDS 1 a", "*1 :1"),
    ("HGETALL h", "*6 $1 a $1 1 $1 b $1 2 $1 c $1 3"),
    ("OBJECT ENCODING h", "$10 listpackex"),
    ("HEXPIRE h 5 FIELDS 1 c", "*1 :1"),
    ("HGETALL h", "*6 $1 c $1 3 $1 a $1 1 $1 b $1 2"),
    ("HEXPIRE nokey 10 FIELDS 2 a b", "*2 :-2 :-2"),
    ("HEXPIRE nokey 10 FIELDS 3 a b", "-ERR The `numfields` parameter must match the number of arguments"),
    ("HEXPIRE nokey 10 FIELDS 0 a", "-ERR Parameter `numFields` should be greater than 0"),
    ("HEXPIRE nokey 10 FIELDS x a", "-ERR Parameter `numFields` should be greater than 0"),
    ("HEXPIRE nokey 10 FIELDS -1 a", "-ERR Parameter `numFields` should be greater than 0"),
    ("HEXPIRE nokey x FIELDS 1 a", "-ERR value is not an integer or out of range"),
    ("HEXPIRE nokey -1 FIELDS 1 a", "-ERR invalid expire time, must be >= 0"),
    ("HEXPIRE h -1 FIELDS 1 a", "-ERR invalid expire time, must be >= 0"),
    ("HEXPIRE h 0 FIELDS 1 a", "*1 :2"),
    ("HEXPIRE h 10 FIELDS 1 a FOO", "-ERR The `numfields` parameter must match the number of arguments"),
    ("HEXPIRE h 10 NX FIELDS 1 a", "*1 :-2"),
    ("HEXPIRE h 10 NX FIELDS 1 b", "*1 :1"),
    ("HEXPIRE h 10 NX FIELDS 1 b", "*1 :0"),
    ("HEXPIRE h 10 NX XX FIELDS 1 b", "-ERR Mandatory argument FIELDS is missing or not at the right position"),
    ("HEXPIRE h 10 XX FIELDS 1 b", "*1 :1"),
    ("HEXPIRE h 10 GT FIELDS 1 b", "*1 :0"),
    ("HEXPIRE h 11 GT FIELDS 1 b", "*1 :1"),
    ("HEXPIRE h 10 LT FIELDS 1 b", "*1 :1"),
    ("HEXPIRE h 10 FOO FIELDS 1 b", "-ERR Mandatory argument FIELDS is missing or not at the right position"),
    ("HEXPIRE h 10 FIELDS 2 b", "-ERR The `numfields` parameter must match the number of arguments"),
    ("HEXPIRE h 10 FIELDS 2 b b", "*2 :1 :1"),
    ("HEXPIRE h 10 FIELDS 1 b b", "-ERR The `numfields` parameter must match the number of arguments"),
    ("HEXPIRE h 9223372036854775 FIELDS 1 b", "-ERR invalid expire time in 'hexpire' command"),
    ("HEXPIRE h 70368744177 FIELDS 1 b", "-ERR invalid expire time in 'hexpire' command"),
    ("HPEXPIRE h 70368744177664 FIELDS 1 b", "-ERR invalid expire time in 'hpexpire' command"),
    ("HPEXPIREAT h 70368744177664 FIELDS 1 b", "-ERR invalid expire time in 'hpexpireat' command"),
    ("HPEXPIREAT h 70368744177663 FIELDS 1 b", "*1 :1"),
    ("HPEXPIREAT h 70368744177 FIELDS 1 b", "*1 :2"),
    ("HGETALL h", "*2 $1 c $1 3"),
    ("SET s 1", "+OK"),
    ("HEXPIRE s 10 FIELDS 2 b", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("HEXPIRE s xx FIELDS 2 b c", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("HTTL s FIELDS 2 b", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("HTTL h FIELDS 0 b", "-ERR Number of fields must be a positive integer"),
    ("HTTL h FIELDS x b", "-ERR Number of fields must be a positive integer"),
    ("HTTL h FIELD 1 b", "-ERR Mandatory argument FIELDS is missing or not at the right position"),
    ("HTTL h 1 FIELDS 1 b", "-ERR Mandatory argument FIELDS is missing or not at the right position"),
    ("HTTL h FIELDS 1 b c", "-ERR The `numfields` parameter must match the number of arguments"),
    ("HTTL nokey FIELDS 2 b c", "*2 :-2 :-2"),
    ("HPERSIST nokey FIELDS 2 b c", "*2 :-2 :-2"),
    ("HPERSIST nokey FIELDS 1 b c", "-ERR The `numfields` parameter must match the number of arguments"),
];

/// Two steps in one.
const COMBINED: &[(&str, &str)] = &[
    ("HSET h a 1 b 2", ":2"),
    ("HEXPIRE h 10 FIELDS 1 zz", "*1 :-2"),
    ("OBJECT ENCODING h", "$10 listpackex"),
    ("HSET h3 a 1 b 2", ":2"),
    ("HPERSIST h3 FIELDS 1 a", "*1 :-1"),
    ("OBJECT ENCODING h3", "$8 listpack"),
    ("HGETEX h3 FIELDS 1 a", "*1 $1 1"),
    ("OBJECT ENCODING h3", "$8 listpack"),
    ("HGETEX h3 PERSIST FIELDS 1 a", "*1 $1 1"),
    ("OBJECT ENCODING h3", "$10 listpackex"),
    ("HSETEX h4 FIELDS x a", "-ERR wrong number of arguments for 'hsetex' command"),
    ("HSETEX h4 EX 10 FIELDS x a", "-ERR wrong number of arguments for 'hsetex' command"),
    ("HSETEX h4 FIELDS x a b", "-ERR invalid number of fields"),
    ("HSETEX h4 FIELDS 1 a b", ":1"),
    ("OBJECT ENCODING h4", "$8 listpack"),
    ("HSETEX h5 KEEPTTL FIELDS 1 a b", ":1"),
    ("OBJECT ENCODING h5", "$8 listpack"),
    ("HSETEX h6 EX 100 FIELDS 1 a b", ":1"),
    ("OBJECT ENCODING h6", "$10 listpackex"),
    ("HSETEX h6 FIELDS 2 c d e f", ":1"),
    ("HGETALL h6", "*6 $1 a $1 b $1 c $1 d $1 e $1 f"),
    ("HGETALL h6", "*6 $1 a $1 b $1 c $1 d $1 e $1 f"),
    ("HSET h6 e 7", ":0"),
    ("HGETALL h6", "*6 $1 a $1 b $1 c $1 d $1 e $1 7"),
    ("HSETEX h6 KEEPTTL FIELDS 1 a 8", ":1"),
    ("HSETEX h6 FXX EX 100 FIELDS 2 a 1 zz 2", ":0"),
    ("HSETEX h6 FNX EX 200 FIELDS 2 yy 1 zz 2", ":1"),
    ("HSETEX h6 FNX EX 100 FIELDS 2 yy 1 qq 2", ":0"),
    ("HSETEX h6 FNX FXX EX 10 FIELDS 2 yy 1 qq 2", "-ERR Only one of FXX or FNX arguments can be specified"),
    ("HSETEX h6 FNX FNX EX 10 FIELDS 2 yy 1 qq 2", "-ERR Only one of FXX or FNX arguments can be specified"),
    (
        "HSETEX h6 EX 10 PX 10 FIELDS 2 yy 1 qq 2",
        "-ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified",
    ),
    (
        "HSETEX h6 EX 10 KEEPTTL FIELDS 2 yy 1 qq 2",
        "-ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified",
    ),
    ("HSETEX h6 EX 0 FIELDS 1 yy 1", ":1"),
    ("HSETEX h6 EX -1 FIELDS 1 yy 1", "-ERR invalid expire time, must be >= 0"),
    ("HSETEX h6 EX x FIELDS 1 yy 1", "-ERR value is not an integer or out of range"),
    ("HSETEX h6 EX FIELDS 1 yy 1", "-ERR value is not an integer or out of range"),
    ("HSETEX h6 EX 99999999999999 FIELDS 1 yy 1", "-ERR invalid expire time in 'hsetex' command"),
    ("HSETEX h6 EXAT 1 FIELDS 1 yy 1", ":1"),
    ("HGETALL h6", "*8 $1 a $1 8 $2 zz $1 2 $1 c $1 d $1 e $1 7"),
    ("HSETEX h6 FIELDS 2 yy 1", "-ERR wrong number of arguments for 'hsetex' command"),
    ("HSETEX h6 FIELDS 1 yy 1 zz", "-ERR wrong number of arguments for 'hsetex' command"),
    ("HSETEX h6 FIELDS 0 yy 1", "-ERR invalid number of fields"),
    ("HSETEX h6 FIELDS x yy 1", "-ERR invalid number of fields"),
    ("HSETEX h6 FIELDS 1 yy 1 EX 10", "-ERR wrong number of arguments for 'hsetex' command"),
    ("HSETEX h6 PERSIST FIELDS 1 a b", "-ERR unknown argument: PERSIST"),
    ("HSETEX h6 FOO FIELDS 1 a b", "-ERR unknown argument: FOO"),
    ("HSETEX h6 FIELDS", "-ERR wrong number of arguments for 'hsetex' command"),
    ("HSETEX nokey FXX FIELDS 1 a b", ":0"),
    ("EXISTS nokey", ":0"),
    ("HSETEX nokey EXAT 1 FIELDS 1 a b", ":1"),
    ("EXISTS nokey", ":0"),
    ("SET s 1", "+OK"),
    ("HSETEX s FIELDS 1 a b", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("HSETEX s FNX FIELDS 1 a b", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("HSETEX s EX x FIELDS 1 a 1", "-ERR value is not an integer or out of range"),
    ("HGETEX s FIELDS 1 a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("HGETEX s EX x FIELDS 2 a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("HGETDEL s FIELDS 2 a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("HGETDEL nokey FIELDS 1 a", "*1 $-1"),
    ("HGETDEL nokey FIELDS 2 a", "-ERR The `numfields` parameter must match the number of arguments"),
    ("HGETDEL nokey FIELDS 0 a", "-ERR Number of fields must be a positive integer"),
    ("HGETDEL nokey FIELD 1 a", "-ERR Mandatory argument FIELDS is missing or not at the right position"),
    ("HGETDEL h6 FIELDS 3 a zz a", "*3 $1 8 $1 2 $-1"),
    ("HGETEX nokey FIELDS 2 a b", "*2 $-1 $-1"),
    ("HGETEX nokey FIELDS 1 a b", "-ERR The `numfields` parameter must match the number of arguments"),
    ("HGETEX nokey EX 10 PERSIST FIELDS 1 a", "-ERR Mandatory argument FIELDS is missing or not at the right position"),
    ("HGETEX nokey FIELDS 1 a EX 10", "-ERR The `numfields` parameter must match the number of arguments"),
    ("HGETEX nokey FOO 1 a", "-ERR Mandatory argument FIELDS is missing or not at the right position"),
    ("HGETEX nokey EX 10 FIELDS", "-ERR wrong number of arguments for 'hgetex' command"),
    ("HGETEX nokey EX 10 a", "-ERR wrong number of arguments for 'hgetex' command"),
    ("HGETEX nokey EX FIELDS 1 a", "-ERR value is not an integer or out of range"),
    ("HGETEX nokey EX 0 FIELDS 1 a", "*1 $-1"),
    ("HGETEX nokey EX -1 FIELDS 1 a", "-ERR invalid expire time, must be >= 0"),
    ("HGETEX nokey KEEPTTL FIELDS 1 a", "-ERR Mandatory argument FIELDS is missing or not at the right position"),
    ("HGETEX nokey PXAT 70368744177664 FIELDS 1 a", "-ERR invalid expire time in 'hgetex' command"),
    ("HGETEX h EX x FIELDS", "-ERR value is not an integer or out of range"),
    ("HGETEX h PERSIST FIELDS", "-ERR wrong number of arguments for 'hgetex' command"),
    ("HGETEX h PERSIST FIELDS 1", "-ERR The `numfields` parameter must match the number of arguments"),
    ("HGETEX h PERSIST FOO a", "-ERR Mandatory argument FIELDS is missing or not at the right position"),
    ("HGETEX h EX 10 PX 10", "-ERR Mandatory argument FIELDS is missing or not at the right position"),
    ("HGETEX h EXAT 1 FIELDS 1 a", "*1 $1 1"),
    ("HGETALL h", "*2 $1 b $1 2"),
    ("HGETEX h EXAT 1 FIELDS 1 b", "*1 $1 2"),
    ("EXISTS h", ":0"),
    ("HSET h a 1 b 1", ":2"),
    ("HEXPIRE h 0 XX FIELDS 1 a", "*1 :0"),
    ("HEXPIRE h 0 GT FIELDS 1 a", "*1 :0"),
    ("HEXPIRE h 0 NX FIELDS 1 a", "*1 :2"),
    ("HEXPIRE h 0 LT FIELDS 1 b", "*1 :2"),
    ("HSET h a 1 b 1", ":2"),
    ("HGETEX h EX 0 FIELDS 1 a", "*1 $1 1"),
    ("OBJECT ENCODING h", "$10 listpackex"),
    ("DEL h", ":1"),
    ("HSET h a 1 b 1", ":2"),
    ("HSETEX h EX 0 FIELDS 1 a 1", ":1"),
    ("OBJECT ENCODING h", "$10 listpackex"),
    ("HSETEX h EX 10 FNX FIELDS", "-ERR wrong number of arguments for 'hsetex' command"),
    ("HSETEX h EX 10 FNX FIELDS 1", "-ERR wrong number of arguments for 'hsetex' command"),
    ("HSETEX h FNX KEEPTTL EX 10", "-ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified"),
    ("HSETEX h EX 10 FNX EX", "-ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified"),
    ("HSETEX h EX x FOO FIELDS 1 a 1", "-ERR value is not an integer or out of range"),
    ("HSETEX h EX -1 FOO FIELDS 1 a 1", "-ERR invalid expire time, must be >= 0"),
    ("HSETEX h FIELDS 4294967297 a 1", "-ERR invalid number of fields"),
    ("HSETEX h FIELDS 2147483647 a 1", "-ERR wrong number of arguments for 'hsetex' command"),
    ("HSETEX h FIELDS 2 a 1 FNX 2", ":1"),
    ("HEXPIRE h 99999999999999999 FOO 1 a", "-ERR invalid expire time in 'hexpire' command"),
    ("HEXPIRE h 10 FIELDS 99999999999999999999 a", "-ERR Parameter `numFields` should be greater than 0"),
];

/// Everything else, in RESP2.
const PLAIN: &[(&str, &str)] = &[
    ("SET s 1", "+OK"),
    ("HSET h a 1 b 2 c x d 1.5", ":4"),
    ("HINCRBY h c 1", "-ERR hash value is not an integer"),
    ("HINCRBY h a x", "-ERR value is not an integer or out of range"),
    ("HINCRBY s a x", "-ERR value is not an integer or out of range"),
    ("HINCRBY s a 1", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("HINCRBY h a 9223372036854775807", "-ERR increment or decrement would overflow"),
    ("HINCRBY h zz -5", ":-5"),
    ("HINCRBY h e 1.5", "-ERR value is not an integer or out of range"),
    ("HINCRBYFLOAT h c 1", "-ERR hash value is not a float"),
    ("HINCRBYFLOAT s a x", "-ERR value is not a valid float"),
    ("HINCRBYFLOAT s a 1", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("HINCRBYFLOAT h a inf", "-ERR value is NaN or Infinity"),
    ("HINCRBYFLOAT h a nan", "-ERR value is not a valid float"),
    ("HSET h big 1e4932", ":1"),
    ("HINCRBYFLOAT h big 1e4932", "-ERR increment would produce NaN or Infinity"),
    ("HSET h sp ' 5'", ":1"),
    ("HINCRBY h sp 1", "-ERR hash value is not an integer"),
    ("HINCRBYFLOAT h sp 1", "-ERR hash value is not a float"),
    ("HSET h sp ''", ":0"),
    ("HINCRBY h sp 1", "-ERR hash value is not an integer"),
    ("HINCRBYFLOAT h sp 1", "-ERR hash value is not a float"),
    ("HSET h long 12345678901234567890123456789012345678901234567890", ":1"),
    ("HINCRBY h long 1", "-ERR hash value is not an integer"),
    ("HINCRBYFLOAT h long 1", "$50 12345678901234567890019423336468287027557880037376"),
    ("HRANDFIELD nokey", "$-1"),
    ("HRANDFIELD nokey 5", "*0"),
    ("HRANDFIELD nokey -5 WITHVALUES", "*0"),
    ("HRANDFIELD h 0", "*0"),
    ("HRANDFIELD h -0", "-ERR value is not an integer or out of range"),
    ("HRANDFIELD h x", "-ERR value is not an integer or out of range"),
    ("HRANDFIELD h 1 FOO", "-ERR syntax error"),
    ("HRANDFIELD h 1 WITHVALUES FOO", "-ERR syntax error"),
    ("HRANDFIELD h x WITHVALUES FOO", "-ERR value is not an integer or out of range"),
    (
        "HRANDFIELD h -9223372036854775808",
        "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
    ),
    ("HRANDFIELD h -4611686018427387905 WITHVALUES", "-ERR value is out of range"),
    ("HRANDFIELD h -4611686018427387904 WITHVALUES", "-ERR value is out of range"),
    ("HRANDFIELD s 5", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("HRANDFIELD s x", "-ERR value is not an integer or out of range"),
    ("HRANDFIELD h 100", "*8 $1 a $1 b $1 c $1 d $2 zz $3 big $2 sp $4 long"),
    ("HSCAN nokey 0", "*2 $1 0 *0"),
    ("HSCAN nokey x", "-ERR invalid cursor"),
    ("HSCAN h 0 COUNT 0", "-ERR syntax error"),
    ("HSCAN h 0 COUNT x", "-ERR value is not an integer or out of range"),
    ("HSCAN h 0 MATCH", "-ERR syntax error"),
    ("HSCAN h 0 NOVALUES MATCH b*", "*2 $1 0 *2 $1 b $3 big"),
    ("HSCAN h 0 COUNT 1 MATCH b* MATCH c*", "*2 $1 0 *2 $1 c $1 x"),
    ("HSCAN h 0 TYPE hash", "-ERR syntax error"),
    ("HSCAN s 0 FOO", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("HSCAN nokey 0 FOO", "*2 $1 0 *0"),
    (
        "HSCAN h 18446744073709551615",
        "*2 $1 0 *16 $1 a $1 1 $1 b $1 2 $1 c $1 x $1 d $3 1.5 $2 zz $2 -5 $3 big $6 1e4932 $2 sp $0  $4 long $50 12345678901234567890019423336468287027557880037376",
    ),
    (
        "HSCAN h 5",
        "*2 $1 0 *16 $1 a $1 1 $1 b $1 2 $1 c $1 x $1 d $3 1.5 $2 zz $2 -5 $3 big $6 1e4932 $2 sp $0  $4 long $50 12345678901234567890019423336468287027557880037376",
    ),
    ("HSETNX h a 1", ":0"),
    ("HSETNX n a 1", ":1"),
    ("HSETNX s a 1", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("HSTRLEN h a", ":1"),
    ("HSTRLEN h long", ":50"),
    ("HSTRLEN s a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("HGET s a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("HMGET s a b", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("HMGET nokey a b", "*2 $-1 $-1"),
    ("HMGET h a zz", "*2 $1 1 $2 -5"),
    ("HGETALL s", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("HKEYS s", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("HVALS s", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("HKEYS nokey", "*0"),
    ("HLEN s", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("HDEL s a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("HDEL h zz a a b", ":3"),
    ("HEXISTS s a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("HMSET s a b", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
];

/// What differs in RESP3, after that.
const PLAIN_RESP3: &[(&str, &str)] = &[
    ("HGETALL n", "%1 $1 a $1 1"),
    ("HGETALL nokey", "%0"),
    ("HKEYS n", "*1 $1 a"),
    ("HVALS n", "*1 $1 1"),
    ("HRANDFIELD nokey", "_"),
    ("HRANDFIELD nokey 1 WITHVALUES", "*0"),
    ("HRANDFIELD n 3", "*1 $1 a"),
    ("HRANDFIELD n 3 WITHVALUES", "*1 *2 $1 a $1 1"),
    ("HRANDFIELD n -3 WITHVALUES", "*3 *2 $1 a $1 1 *2 $1 a $1 1 *2 $1 a $1 1"),
    ("HRANDFIELD n -3", "*3 $1 a $1 a $1 a"),
    ("HGET nokey a", "_"),
    ("HMGET nokey a", "*1 _"),
    ("HSCAN n 0", "*2 $1 0 *2 $1 a $1 1"),
    ("HINCRBYFLOAT n f 1.5", "$3 1.5"),
    ("HGETDEL n FIELDS 1 zz", "*1 _"),
    ("HGETEX n FIELDS 1 a", "*1 $1 1"),
];

/// Encodings by the limits in force: entries, bytes of a name or value.
const LIMITS: &[Limited] = &[
    (
        4,
        64,
        &[
            ("HSET h a 1 b 1 c 1 d 1", ":4"),
            ("OBJECT ENCODING h", "$8 listpack"),
            ("HSET h a 1 b 1 c 1 d 1 a 1", ":0"),
            ("OBJECT ENCODING h", "$9 hashtable"),
            ("DEL h", ":1"),
            ("HSET h a 1 b 1 c 1 d 1", ":4"),
            ("HEXPIRE h 100 FIELDS 1 a", "*1 :1"),
            ("HSETEX h FIELDS 2 a 1 z 2", ":1"),
            ("OBJECT ENCODING h", "$9 hashtable"),
            ("HTTL h FIELDS 5 a b c d z", "*5 :-1 :-1 :-1 :-1 :-1"),
        ],
    ),
    (
        4,
        3,
        &[
            ("DEL h", ":1"),
            ("HSET h a 1234", ":1"),
            ("OBJECT ENCODING h", "$9 hashtable"),
            ("DEL h", ":1"),
            ("HSET h a 123", ":1"),
            ("HINCRBY h a 1000", ":1123"),
            ("OBJECT ENCODING h", "$9 hashtable"),
            ("DEL h", ":1"),
            ("HSETNX h a 1234", ":1"),
            ("OBJECT ENCODING h", "$9 hashtable"),
            ("DEL h", ":1"),
            ("HINCRBY h abcd 1", ":1"),
            ("OBJECT ENCODING h", "$9 hashtable"),
            ("DEL h", ":1"),
            ("HINCRBYFLOAT h ab 1.25", "$4 1.25"),
            ("OBJECT ENCODING h", "$9 hashtable"),
            ("DEL h", ":1"),
            ("HSETEX h FIELDS 1 a 1234", ":1"),
            ("OBJECT ENCODING h", "$9 hashtable"),
            ("DEL h", ":1"),
            ("HSET h a 1 b 2", ":2"),
            ("HSETEX h FXX FIELDS 1 zz 12345", ":0"),
            ("OBJECT ENCODING h", "$8 listpack"),
            ("HSETNX h a 12345", ":0"),
            ("OBJECT ENCODING h", "$8 listpack"),
            ("HINCRBY h abcd 9223372036854775807", ":9223372036854775807"),
            ("OBJECT ENCODING h", "$9 hashtable"),
            ("DEL h", ":1"),
            ("HSET h a x", ":1"),
            ("HINCRBY h a 12345", "-ERR hash value is not an integer"),
            ("OBJECT ENCODING h", "$8 listpack"),
        ],
    ),
    (
        2,
        64,
        &[
            ("DEL h", ":1"),
            ("HSET h a 1 b 1", ":2"),
            ("HINCRBY h c 1", ":1"),
            ("OBJECT ENCODING h", "$9 hashtable"),
            ("DEL h", ":1"),
            ("HSETEX h EX 10 FIELDS 3 a 1 b 2 c 3", ":1"),
            ("OBJECT ENCODING h", "$9 hashtable"),
        ],
    ),
    (
        512,
        64,
        &[
            ("DEL h", ":1"),
            ("HSET h a 1 b 1 c 1", ":3"),
            ("HPEXPIREAT h 9999999999123 FIELDS 2 b a", "*2 :1 :1"),
            ("HGETALL h", "*6 $1 a $1 1 $1 b $1 1 $1 c $1 1"),
            ("HPEXPIREAT h 9999999999123 FIELDS 1 b", "*1 :1"),
            ("HGETALL h", "*6 $1 b $1 1 $1 a $1 1 $1 c $1 1"),
            ("HPERSIST h FIELDS 1 b", "*1 :1"),
            ("HGETALL h", "*6 $1 a $1 1 $1 c $1 1 $1 b $1 1"),
            ("HPERSIST h FIELDS 1 b", "*1 :-1"),
            ("HPEXPIREAT h 9999999999122 FIELDS 1 c", "*1 :1"),
            ("HGETALL h", "*6 $1 c $1 1 $1 a $1 1 $1 b $1 1"),
            ("HSETEX h PXAT 9999999999123 FIELDS 2 z 1 c 2", ":1"),
            ("HGETALL h", "*8 $1 c $1 2 $1 z $1 1 $1 a $1 1 $1 b $1 1"),
            ("HINCRBY h c 1", ":3"),
            ("HGETALL h", "*8 $1 c $1 3 $1 z $1 1 $1 a $1 1 $1 b $1 1"),
            ("HPEXPIRETIME h FIELDS 3 a b c", "*3 :9999999999123 :-1 :9999999999123"),
            ("HEXPIRETIME h FIELDS 3 a b c", "*3 :10000000000 :-1 :10000000000"),
            ("HMSET h c 1", "+OK"),
            ("HPEXPIRETIME h FIELDS 3 a b c", "*3 :9999999999123 :-1 :-1"),
            ("COPY h hc", ":1"),
            ("HPEXPIRETIME hc FIELDS 3 a b c", "*3 :9999999999123 :-1 :-1"),
            ("OBJECT ENCODING hc", "$10 listpackex"),
        ],
    ),
    (
        0,
        64,
        &[
            ("HSET h qq 1", ":1"),
            ("OBJECT ENCODING h", "$9 hashtable"),
            ("HPEXPIRETIME h FIELDS 3 a b c", "*3 :9999999999123 :-1 :-1"),
            ("COPY h hd", ":1"),
            ("HPEXPIRETIME hd FIELDS 3 a b c", "*3 :9999999999123 :-1 :-1"),
            ("RENAME hd he", "+OK"),
            ("HPEXPIRETIME he FIELDS 3 a b c", "*3 :9999999999123 :-1 :-1"),
            ("HPEXPIRE he 30 FIELDS 1 a", "*1 :1"),
        ],
    ),
];

/// Limits on entries and on bytes, and what is said while they are in force.
type Limited = (usize, usize, &'static [(&'static str, &'static str)]);

#[test]
fn expiries_are_set_and_shown() {
    Fixture::new().check(EXPIRING);
}

#[test]
fn combined_commands_do_both() {
    Fixture::new().check(COMBINED);
}

#[test]
fn plain_commands_answer_in_both_protocols() {
    let mut fixture = Fixture::new();
    fixture.check(PLAIN);
    fixture.protocol = Protocol::Resp3;
    fixture.check(PLAIN_RESP3);
}

#[test]
fn limits_decide_the_encoding() {
    let mut fixture = Fixture::new();
    for (entries, bytes, cases) in LIMITS {
        fixture.settings.hash_max_listpack_entries = *entries;
        fixture.settings.hash_max_listpack_value = *bytes;
        fixture.check(cases);
    }
}

/// Three fields, two of which have expired, in either encoding.
fn half_expired(entries: usize) -> Fixture {
    let mut fixture = Fixture::new();
    fixture.settings.hash_max_listpack_entries = entries;
    fixture.check(&[("HSET h a 1 b 2 c 3", ":3"), ("HPEXPIRE h 1 FIELDS 2 a b", "*2 :1 :1")]);
    fixture.now_ms += 10;
    fixture
}

/// Recorded with `DEBUG SET-ACTIVE-EXPIRE 0`, each on a hash of its own.
const HALF_EXPIRED: &[&[(&str, &str)]] = &[
    &[("HGETALL h", "*2 $1 c $1 3"), ("HKEYS h", "*1 $1 c"), ("HVALS h", "*1 $1 3"), ("HLEN h", ":3")],
    &[("HGET h a", "$-1"), ("HLEN h", ":2"), ("HGET h a", "$-1"), ("HGET h b", "$-1"), ("HLEN h", ":1")],
    &[("HMGET h a b c", "*3 $-1 $-1 $1 3"), ("HLEN h", ":1")],
    &[("HEXISTS h a", ":0"), ("HLEN h", ":2")],
    &[("HSTRLEN h a", ":0"), ("HLEN h", ":2")],
    &[("HTTL h FIELDS 2 a c", "*2 :-2 :-1"), ("HEXPIRETIME h FIELDS 2 a c", "*2 :-2 :-1"), ("HLEN h", ":3")],
    &[("HPERSIST h FIELDS 2 a c", "*2 :-2 :-1"), ("HLEN h", ":3")],
    &[("HDEL h a c", ":2"), ("HLEN h", ":1")],
    &[("HSET h a 9", ":0"), ("HTTL h FIELDS 1 a", "*1 :-1"), ("HLEN h", ":3")],
    &[("HSETNX h a 9", ":1"), ("HGET h a", "$1 9"), ("HLEN h", ":3")],
    &[("HINCRBY h a 9", ":9"), ("HTTL h FIELDS 1 a", "*1 :-1"), ("HLEN h", ":3")],
    &[("HINCRBYFLOAT h a 9", "$1 9"), ("HTTL h FIELDS 1 a", "*1 :-1"), ("HLEN h", ":3")],
    &[("HEXPIRE h 10 FIELDS 2 a c", "*2 :1 :1"), ("HTTL h FIELDS 2 a c", "*2 :10 :10"), ("HLEN h", ":3")],
    &[("HSCAN h 0", "*2 $1 0 *2 $1 c $1 3"), ("HRANDFIELD h", "$1 c"), ("HRANDFIELD h 5", "*1 $1 c")],
    &[("HRANDFIELD h -3", "*3 $1 c $1 c $1 c"), ("HRANDFIELD h 2 WITHVALUES", "*2 $1 c $1 3")],
    &[("HGETDEL h FIELDS 2 a c", "*2 $-1 $1 3"), ("HLEN h", ":1")],
    &[("HGETEX h EX 10 FIELDS 2 a c", "*2 $-1 $1 3"), ("HLEN h", ":2")],
    &[("HSETEX h FXX FIELDS 1 a 9", ":0"), ("HGET h a", "$-1")],
    &[("HSETEX h FNX FIELDS 1 a 9", ":1"), ("HLEN h", ":3"), ("HMGET h a b c", "*3 $1 9 $-1 $1 3")],
    &[("HSETEX h FNX KEEPTTL FIELDS 1 a 9", ":1"), ("HTTL h FIELDS 1 a", "*1 :-1")],
    &[("HSETEX h KEEPTTL FIELDS 1 a 9", ":1"), ("HTTL h FIELDS 1 a", "*1 :-2"), ("HLEN h", ":3")],
    // The last field to go takes the key along.
    &[("HDEL h c", ":1"), ("HMGET h a b", "*2 $-1 $-1"), ("EXISTS h", ":0")],
    &[("HDEL h c", ":1"), ("HGETALL h", "*0"), ("EXISTS h", ":1"), ("HRANDFIELD h 5", "*0"), ("HRANDFIELD h", "$-1")],
    &[("HDEL h c", ":1"), ("HGETDEL h FIELDS 2 a b", "*2 $-1 $-1"), ("EXISTS h", ":0")],
    &[("HDEL h c", ":1"), ("HGETEX h FIELDS 2 a b", "*2 $-1 $-1"), ("EXISTS h", ":0")],
];

#[test]
fn expired_fields_are_seen_by_some() {
    for entries in [512, 0] {
        for cases in HALF_EXPIRED {
            half_expired(entries).check(cases);
        }
    }
}

#[test]
fn a_long_hash_is_walked_once() {
    let mut fixture = Fixture::new();
    for number in 0..2000 {
        fixture.run(&format!("HSET h field:{number} {number}"));
    }
    let (mut seen, mut cursor) = (Vec::new(), "0".to_owned());
    loop {
        let reply = fixture.run(&format!("HSCAN h {cursor} COUNT 50 NOVALUES"));
        let words: Vec<&str> = reply.split(' ').collect();
        cursor = words[2].to_owned();
        seen.extend(words[4..].iter().filter(|word| word.starts_with("field:")).map(|word| (*word).to_owned()));
        if cursor == "0" {
            break;
        }
    }
    seen.sort();
    let len = seen.len();
    seen.dedup();
    assert_eq!((seen.len(), len), (2000, 2000));
}

#[test]
fn random_fields_are_different_unless_they_need_not_be() {
    let mut fixture = Fixture::new();
    fixture.run("HSET h a 1 b 2 c 3 d 4");
    let names = |reply: String| -> Vec<String> {
        reply.split(' ').skip(1).filter(|word| !word.starts_with('$')).map(str::to_owned).collect()
    };
    for _ in 0..20 {
        let mut sample = names(fixture.run("HRANDFIELD h 3"));
        sample.sort();
        sample.dedup();
        assert_eq!(sample.len(), 3);
        assert_eq!(names(fixture.run("HRANDFIELD h -9")).len(), 9);
    }
    assert_eq!(names(fixture.run("HRANDFIELD h -3 WITHVALUES")).len(), 6);
    fixture.check(&[("HRANDFIELD h 9 WITHVALUES", "*8 $1 a $1 1 $1 b $1 2 $1 c $1 3 $1 d $1 4")]);
}
