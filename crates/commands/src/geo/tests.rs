//! What the reference answered to these lines, for both encodings.

use crate::testing::{Fixture, check};
use kinovar_command::Protocol;

/// Recorded in RESP2.
const SICILY: &[(&str, &str)] = &[
    ("GEOADD Sicily 13.361389 38.115556 Palermo 15.087269 37.502669 Catania", ":2"),
    ("GEOADD Sicily CH 13.361389 38.115557 Palermo 13.583333 37.316667 Agrigento", ":1"),
    ("GEOADD Sicily NX 1 1 Palermo 15.55 38.18 Messina", ":1"),
    ("GEOADD Sicily XX CH 15.5540152 38.1938137 Messina 1 1 nosuch", ":1"),
    ("GEOADD Sicily NX XX 1 1 a", "-ERR syntax error"),
    ("GEOADD Sicily CH CH CH CH", "-ERR syntax error"),
    ("GEOADD Sicily 1 1 a 181 2 b", "-ERR invalid longitude,latitude pair 181.000000,2.000000"),
    ("GEOADD Sicily 1 -inf a", "-ERR invalid longitude,latitude pair 1.000000,-inf"),
    ("GEOADD Sicily 1 x a", "-ERR value is not a valid float"),
    ("GEODIST Sicily Palermo Catania", "$11 166274.1516"),
    ("GEODIST Sicily Palermo Catania MI", "$8 103.3182"),
    ("GEODIST Sicily Palermo Catania yd", "-ERR unsupported unit provided. please use M, KM, FT, MI"),
    ("GEODIST Sicily Palermo nosuch", "$-1"),
    ("GEODIST Sicily a b m x", "-ERR syntax error"),
    ("GEOHASH Sicily Palermo nosuch Catania", "*3 $11 sqc8b49rny0 $-1 $11 sqdtr74hyu0"),
    ("GEOPOS Sicily Palermo nosuch", "*2 *2 $18 13.361389338970184 $16 38.1155563954963 *-1"),
    ("GEOSEARCH Sicily FROMLONLAT 15 37 BYRADIUS 100 km WITHDIST", "*1 *2 $7 Catania $7 56.4413"),
    ("GEOSEARCH Sicily FROMLONLAT 15 37 BYRADIUS 200 km ASC", "*4 $7 Catania $9 Agrigento $7 Messina $7 Palermo"),
    ("GEOSEARCH Sicily FROMLONLAT 15 37 BYRADIUS 200 km DESC COUNT 1", "*1 $7 Palermo"),
    (
        "GEOSEARCH Sicily FROMMEMBER Palermo BYBOX 150 200 km COUNT 1 ANY WITHHASH",
        "*1 *2 $9 Agrigento :3479030013248308",
    ),
    ("GEORADIUSBYMEMBER Sicily Agrigento 100 km STOREDIST near", ":2"),
    ("ZRANGE near 0 -1 WITHSCORES", "*4 $9 Agrigento $1 0 $7 Palermo $17 90.97775353799604"),
    ("GEOSEARCHSTORE near Sicily FROMLONLAT 1 1 BYRADIUS 1 m", ":0"),
    ("EXISTS near", ":0"),
];

#[test]
fn both_encodings_answer_alike() {
    for entries in [128, 1] {
        let mut fixture = Fixture::new();
        fixture.settings.zset_max_listpack_entries = entries;
        fixture.check(SICILY);
        let encoding = if entries == 1 { "$8 skiplist" } else { "$8 listpack" };
        fixture.check(&[("OBJECT ENCODING Sicily", encoding)]);
    }
}

#[test]
fn resp3_has_doubles_for_positions_only() {
    let mut fixture = Fixture::new();
    fixture.protocol = Protocol::Resp3;
    fixture.check(&[
        ("GEOADD g 180 0 a", ":1"),
        ("GEOPOS g a b", "*2 *2 ,180 ,1.2673605809254695e-6 _"),
        ("GEODIST g a a", "$6 0.0000"),
        ("GEODIST g a b", "_"),
        ("GEOHASH g b", "*1 _"),
    ]);
}

#[test]
fn searches_find_fault_in_the_order_of_the_reference() {
    check(&[
        ("SET s x", "+OK"),
        (
            "GEOSEARCH s FROMLONLAT x 1 BYBOX 1 1 km",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("GEOSEARCH n FROMMEMBER a FROMLONLAT 1 1 BYRADIUS 1 m", "-ERR syntax error"),
        (
            "gEosearch n BYRADIUS 1 m ASC DESC",
            "-ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for gEosearch",
        ),
        (
            "GEOSEARCH n FROMMEMBER a ASC DESC ANY",
            "-ERR exactly one of BYRADIUS and BYBOX can be specified for GEOSEARCH",
        ),
        ("GEOSEARCH n FROMMEMBER a BYRADIUS 1 m ANY", "-ERR the ANY argument requires COUNT argument"),
        ("GEOSEARCH n FROMMEMBER a BYRADIUS 1 m COUNT 0", "-ERR COUNT must be > 0"),
        ("GEOSEARCH n FROMMEMBER a BYRADIUS -1 q", "-ERR radius cannot be negative"),
        ("GEOSEARCH n FROMMEMBER a BYBOX 1 -1 q", "-ERR height or width cannot be negative"),
        ("GEOSEARCH n FROMMEMBER a BYBOX 1 x q", "-ERR need numeric height"),
        ("GEOSEARCH n FROMMEMBER a BYRADIUS 1 m STORE b", "-ERR syntax error"),
        (
            "GEOSEARCHSTORE d n FROMMEMBER a BYRADIUS 1 m WITHDIST",
            "-ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
        ),
        (
            "GEORADIUS n 1 1 1 m STORE d WITHDIST",
            "-ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
        ),
        ("GEORADIUS n 1 1 1 m STOREDIST", "-ERR syntax error"),
        ("GEORADIUS_RO n 1 1 1 m STORE d", "-ERR syntax error"),
        ("GEORADIUSBYMEMBER n a x q", "*0"),
        ("GEORADIUSBYMEMBER n a x q foo", "-ERR syntax error"),
        ("GEOADD g 1 1 a", ":1"),
        ("GEORADIUSBYMEMBER g nosuch x q", "-ERR could not decode requested zset member"),
    ]);
}

#[test]
fn events_and_changes() {
    let mut fixture = Fixture::new();
    fixture.run("GEOADD g 1 1 a 2 2 b");
    assert_eq!(fixture.take_events(), "g=zadd");
    let changes = fixture.changes();
    fixture.run("GEOADD g 1 1 a 2 2 b");
    assert_eq!((fixture.take_events().as_str(), fixture.changes()), ("", changes));
    fixture.run("GEOSEARCHSTORE d g FROMMEMBER a BYRADIUS 1000 km");
    assert_eq!(fixture.take_events(), "d=geosearchstore");
    fixture.run("GEORADIUS g 1 1 1000 km STORE d");
    assert_eq!(fixture.take_events(), "d=georadiusstore");
    fixture.run("GEORADIUS nosuch 1 1 1000 km STORE d");
    assert_eq!(fixture.take_events(), "d=del");
}

#[test]
fn keys_are_those_that_are_used() {
    check(&[
        ("COMMAND GETKEYS GEORADIUS k 1 1 1 m STOREDIST a ASC", "*2 $1 k $1 a"),
        ("COMMAND GETKEYS GEOSEARCHSTORE d s FROMMEMBER a BYRADIUS 1 m", "*2 $1 d $1 s"),
    ]);
    // The last one named counts, wherever it is: a partition that is not locked would be a panic.
    for other in 0..64 {
        let mut fixture = Fixture::new();
        fixture.run("GEOADD g 1 1 a");
        fixture.check(&[
            (&format!("GEORADIUS g 1 1 1 km STORE one{other} STOREDIST two{other}"), ":1"),
            (&format!("EXISTS one{other}"), ":0"),
            (&format!("EXISTS two{other}"), ":1"),
        ]);
    }
}
