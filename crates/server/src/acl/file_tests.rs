//! Files of users, against what the reference says of the same.

use super::*;

fn read(text: &str) -> Result<Vec<String>, String> {
    let line = |user: &User| String::from_utf8(user.line()).unwrap();
    let users = parse(b"users.acl", text.as_bytes(), false).map_err(|errors| String::from_utf8(errors).unwrap());
    users.map(|users| users.values().map(line).collect())
}

#[test]
fn files_of_users() {
    let text = "user b on +@all\n\n  user c off  ~x \t\r\nuser a on (+get\t ~y)";
    assert_eq!(
        read(text).unwrap(),
        [
            "user a on sanitize-payload resetchannels -@all (~y resetchannels -@all +get)",
            "user b on sanitize-payload resetchannels +@all",
            "user c off sanitize-payload ~x resetchannels -@all",
        ]
    );
    assert_eq!(read("").unwrap(), [""; 0]);
    assert_eq!(
        read("user a on\0 +get\nuser b on\n").unwrap_err().split(". ").next(),
        Some("users.acl:1: Syntax error")
    );
}

#[test]
fn complaints_are_those_of_the_reference() {
    let text = "foo\nuser b foo\nuser c +foo +bar foo bar\nuser d on\nuser d off\nuser\nuser e (+get\n user \"x y\" \
                on\nuser f <p !q\n#comment\nuser g\tx on";
    assert_eq!(
        read(text).unwrap_err(),
        "users.acl:1 should start with user keyword followed by the username. users.acl:2: Syntax error. users.acl:3: Error \
         in applying operation '+foo': Unknown command or category name in ACL. users.acl:3: Error in applying operation \
         '+bar': Unknown command or category name in ACL. users.acl:3: Syntax error. WARNING: Duplicate user 'd' found on \
         line 5. users.acl:6 should start with user keyword followed by the username. users.acl:7: Unmatched parenthesis in \
         selector definition.users.acl:8: Syntax error. users.acl:9: The password you are trying to remove from the user \
         does not exist. users.acl:10 should start with user keyword followed by the username. 'users.acl:11: username \
         'g\tx' contains invalid characters. WARNING: ACL errors detected, no change to the previously active ACL rules was \
         performed"
    );
}

#[test]
fn what_is_wrong_is_told_up_to_a_limit() {
    let text = "x\n".repeat(1_000_000);
    assert!(read(&text).unwrap_err().len() < 100_000);
}

#[test]
fn saved_in_one_step() {
    let dir = std::env::temp_dir().join(format!("kinovar-acl-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let path = dir.join("users.acl");
    fs::write(&path, "old").unwrap();
    let user = User::default_user();
    assert!(save(&path, [user.line(), b"user b".to_vec()].into_iter()));
    let expected = "user default on nopass sanitize-payload ~* &* +@all\nuser b\n";
    assert_eq!(fs::read_to_string(&path).unwrap(), expected);
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "no temporary file stays behind");
    // A folder in its place cannot be replaced, and nothing is left of the attempt.
    let folder = dir.join("folder");
    fs::create_dir(&folder).unwrap();
    assert!(!save(&folder, std::iter::once(user.line())));
    assert!(!save(&dir.join("nosuch/users.acl"), std::iter::once(user.line())));
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 2);
    let again = load(path.as_os_str().as_encoded_bytes(), false).unwrap();
    assert_eq!(again.len(), 2);
    fs::remove_dir_all(&dir).unwrap();
}
