use std::os::unix::fs::PermissionsExt;

use super::*;

macro_rules! skip_without_ssh {
    () => {
        if std::process::Command::new("ssh").arg("-V").output().is_err() {
            eprintln!("skipped: no ssh here");
            return;
        }
    };
}

fn options(directory: &std::path::Path) -> Options {
    Options { home: Some(directory.to_owned()), agent: Some("/agent".into()), ..Options::from_env() }
}

fn endpoint(host: &str) -> Endpoint {
    Endpoint { host: host.into(), user: None, port: None }
}

fn parsed(text: &str, host: &str) -> Result<HostSettings, String> {
    let options = options("/home/me".as_ref());
    read(&options, &endpoint(host), &Pairs(pairs(text)), &[]).map_err(|e| e.to_string())
}

pub(super) fn settings_of(text: &str, host: &str) -> (Endpoint, HostSettings) {
    (endpoint(host), parsed(text, host).unwrap())
}

#[test]
fn tokens_are_replaced_and_what_is_not_said_has_its_default() {
    let text = "hostname web1.example.com\nidentityfile ~/keys/%r_%h\nidentityfile \"/keys/two\"\nproxycommand nc %h %p\n";
    let web = parsed(text, "web1").unwrap();
    assert_eq!((web.hostname.as_str(), web.user.as_str(), web.port), ("web1.example.com", "root", 22));
    let files: Vec<_> = web.identity_files.iter().map(|f| f.display().to_string()).collect();
    assert_eq!(files, ["/home/me/keys/root_web1.example.com", "/keys/two"]);
    assert_eq!(web.proxy_command.as_deref(), Some("nc %h %p"));
    assert_eq!(web.agent, Some(PathBuf::from("/agent")));
    assert_eq!(web.known_hosts.user[0], PathBuf::from("/home/me/.ssh/known_hosts"));
    assert_eq!((web.ends, web.algorithms), (Ends::default(), Algorithms::default()));
    assert_eq!((web.keyless, web.pkcs11), (None, None));
    assert_eq!(parsed("", "web9").unwrap().hostname, "web9");
}

#[test]
fn a_whole_answer() {
    let text = "hostname 10.0.0.5\nport 2222\nuser deploy\nproxyjump ops@bastion:2200,[fd00::1]:22\n\
                userknownhostsfile ~/.ssh/known_db /etc/known_db\nstricthostkeychecking true\nidentitiesonly yes\n\
                identityagent none\nbindaddress 10.0.0.1\nbindinterface eth1\npubkeyauthentication false\n\
                pkcs11provider /usr/lib/opensc.so\n";
    let db = parsed(text, "db").unwrap();
    assert_eq!((db.hostname.as_str(), db.user.as_str(), db.port), ("10.0.0.5", "deploy", 2222));
    assert!(db.identities_only && db.known_hosts.strict && db.agent.is_none());
    assert_eq!(
        db.known_hosts.user,
        [PathBuf::from("/home/me/.ssh/known_db"), PathBuf::from("/etc/known_db")]
    );
    let hop = |host: &str, user: Option<&str>, port| Endpoint {
        host: host.into(),
        user: user.map(Into::into),
        port: Some(port),
    };
    assert_eq!(db.jumps, [hop("bastion", Some("ops"), 2200), hop("fd00::1", None, 22)]);
    assert_eq!((db.ends.address.as_deref(), db.ends.interface.as_deref()), (Some("10.0.0.1"), Some("eth1")));
    assert_eq!(
        (db.keyless, db.pkcs11.as_deref()),
        (Some("PubkeyAuthentication"), Some("/usr/lib/opensc.so"))
    );
    let methods = |text: &str| parsed(&format!("preferredauthentications {text}\n"), "db").unwrap().keyless;
    assert_eq!(methods("password,keyboard-interactive"), Some("PreferredAuthentications"));
    assert_eq!(methods("publickey,password"), None);
    assert!(parsed("revokedhostkeys /x\n", "b").unwrap_err().contains("RevokedHostKeys"));
}

#[tokio::test]
async fn without_an_ssh_there_may_be_no_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join(".ssh/config");
    std::fs::create_dir(directory.path().join(".ssh")).unwrap();
    let ask = async || {
        let mut reader = ConfigReader::new(options(directory.path()));
        reader.asker.program = "/no/such/ssh";
        reader.settings(&endpoint("web")).await
    };
    assert_eq!(ask().await.unwrap().hostname, "web");
    std::fs::write(&config, "# nothing yet\n\n").unwrap();
    assert_eq!(ask().await.unwrap().hostname, "web");
    std::fs::write(&config, "Host web\n  HostName 10.0.0.1\n").unwrap();
    let ServerError::Unreachable { reason, hint } = ask().await.unwrap_err() else { panic!() };
    assert_eq!(reason, format!("{} can't be used: `ssh` is not installed", config.display()));
    assert!(hint.unwrap().contains("`ssh: {config: false}`"));
}

#[tokio::test]
async fn algorithms_count_where_the_configuration_names_some() {
    skip_without_ssh!();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config");
    let algorithms = async |text: &str| {
        std::fs::write(&file, text).unwrap();
        let options = Options { user_config: UserConfig::File(file.clone()), ..options(directory.path()) };
        ConfigReader::new(options).settings(&endpoint("web")).await.unwrap().algorithms.clone()
    };
    assert_eq!(algorithms("User me\n").await, Algorithms::default());
    let named =
        algorithms("Ciphers aes256-ctr\n").await.preferred(russh::Preferred::DEFAULT.key.into_owned());
    assert_eq!(*named.unwrap().cipher, [russh::cipher::AES_256_CTR]);
}

#[test]
fn jump_hosts() {
    let hop = |text: &str| jump(text).map(|e| (e.user, e.host, e.port)).map_err(|e| e.to_string());
    assert_eq!(hop("a"), Ok((None, "a".into(), None)));
    assert_eq!(hop("ssh://me@a:1/"), Ok((Some("me".into()), "a".into(), Some(1))));
    assert_eq!(hop("fd00::1"), Ok((None, "fd00::1".into(), None)));
    assert!(hop("a:b").is_err());
}

#[tokio::test]
async fn ssh_itself_is_asked_where_it_is() {
    skip_without_ssh!();
    let directory = tempfile::tempdir().unwrap();
    let (main, other) = (directory.path().join("config"), directory.path().join("other"));
    std::fs::write(
        &main,
        format!("Include {}\nMatch originalhost web1\n  IdentityFile ~/k1\n", other.display()),
    )
    .unwrap();
    std::fs::write(
        &other,
        "Host web1\n  HostName 10.1.1.1\n  Port 99\n  ProxyJump jump1\nHost web2\n  HostName %%h.%h\n",
    )
    .unwrap();
    let options = Options { user_config: UserConfig::File(main), ..options(directory.path()) };
    let reader = ConfigReader::new(options);
    let given = Endpoint { host: "web1".into(), user: Some("deploy".into()), port: Some(22) };
    let settings = reader.settings(&given).await.unwrap();
    assert_eq!(
        (settings.hostname.as_str(), settings.port, settings.user.as_str()),
        ("10.1.1.1", 22, "deploy")
    );
    assert_eq!(settings.identity_files, [directory.path().join("k1")]);
    assert_eq!(settings.jumps, [endpoint("jump1")]);
    assert_eq!(reader.settings(&endpoint("web1")).await.unwrap().port, 99);
    assert_eq!(reader.settings(&endpoint("web2")).await.unwrap().hostname, "%h.web2");
}

#[tokio::test]
async fn home_counts_and_not_the_passwd_entry() {
    skip_without_ssh!();
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let reader = ConfigReader::new(options(home));
    let entry = format!(":x:{}:", rustix::process::getuid().as_raw());
    let listed = std::fs::read_to_string("/etc/passwd").is_ok_and(|text| text.contains(&entry));
    if !listed {
        eprintln!("skipped: no passwd entry for this user");
        return;
    }
    // Its known hosts apply even without a configuration file.
    let known = [home.join(".ssh/known_hosts"), home.join(".ssh/known_hosts2")];
    assert_eq!(reader.settings(&endpoint("web0")).await.unwrap().known_hosts.user, known);
    std::fs::create_dir_all(home.join(".ssh/config.d")).unwrap();
    // ssh rejects files that others can write, which some umasks allow.
    let write = |file: &str, text: &str| {
        std::fs::write(home.join(file), text).unwrap();
        std::fs::set_permissions(home.join(file), PermissionsExt::from_mode(0o600)).unwrap();
    };
    write(".ssh/config.d/a", "Host web1\n  HostName 10.1.1.1\n");
    write(
        ".ssh/config",
        "Include config.d/*\nHost web1\n  Port 99\n  IdentityFile ~/k1\n  IdentityAgent ~/agent\n\
         Host web2\n  UserKnownHostsFile ~/.ssh/two %d/three /etc/four\nMatch final host web2\n  Port 98\n",
    );
    let reader = ConfigReader::new(options(home));
    let one = reader.settings(&endpoint("web1")).await.unwrap();
    assert_eq!((one.hostname.as_str(), one.port), ("10.1.1.1", 99));
    assert_eq!((&one.identity_files, &one.agent), (&vec![home.join("k1")], &Some(home.join("agent"))));
    assert_eq!(one.known_hosts.user, known);
    let two = reader.settings(&endpoint("web2")).await.unwrap();
    assert_eq!(two.port, 98);
    assert_eq!(two.known_hosts.user, [home.join(".ssh/two"), home.join("three"), "/etc/four".into()]);
}

#[tokio::test]
async fn one_answer_serves_all_hosts_that_are_not_told_apart() {
    skip_without_ssh!();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config");
    let settings = async |text: &str, hosts: &[&str]| {
        std::fs::write(&file, text).unwrap();
        let options = Options { user_config: UserConfig::File(file.clone()), ..options(directory.path()) };
        let reader = ConfigReader::new(options);
        let mut all = Vec::new();
        for host in hosts {
            let given = Endpoint { host: (*host).into(), user: Some("deploy".into()), port: Some(22) };
            all.push(reader.settings(&given).await.unwrap());
        }
        let answers = reader.asker.count();
        (all, answers)
    };
    let text = "Host db\n  HostName 10.0.0.5\nHost *\n  IdentityFile ~/keys/%n\n  ProxyCommand nc %h %p\n";
    let (all, answers) = settings(text, &["web1", "web2", "db", "web3"]).await;
    assert_eq!(answers, 2, "one for the web servers, one for db");
    let names: Vec<_> = all.iter().map(|settings| settings.hostname.as_str()).collect();
    assert_eq!(names, ["web1", "web2", "10.0.0.5", "web3"]);
    assert_eq!(all[3].identity_files, [directory.path().join("keys/web3")]);
    // With a setting that depends on the host, each host is asked for.
    let text = "Match exec \"test %n = web2\"\n  HostName 10.0.0.2\n";
    let (all, answers) = settings(text, &["web1", "web2"]).await;
    assert_eq!((answers, all[0].hostname.as_str(), all[1].hostname.as_str()), (2, "web1", "10.0.0.2"));
}

#[tokio::test]
async fn blanks_in_the_names_of_known_hosts_files() {
    let text = "UserKnownHostsFile \"~/my hosts\" /etc/other\nKnownHostsCommand /bin/keys %H\n";
    let wanted = |home: &str| [PathBuf::from(home).join("my hosts"), PathBuf::from("/etc/other")];
    skip_without_ssh!();
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join(".ssh")).unwrap();
    std::fs::write(directory.path().join(".ssh/config"), text).unwrap();
    std::fs::set_permissions(directory.path().join(".ssh/config"), PermissionsExt::from_mode(0o600)).unwrap();
    let reader = ConfigReader::new(options(directory.path()));
    let known = reader.settings(&endpoint("web1")).await.unwrap().known_hosts.clone();
    assert_eq!(known.user, wanted(&directory.path().display().to_string()));
    assert_eq!(known.command.as_deref(), Some("/bin/keys %H"));
}

#[test]
fn a_proxy_that_hands_a_descriptor_over_is_refused() {
    let text = "ProxyUseFdpass yes\nProxyCommand /usr/lib/proxy %h\n";
    assert!(parsed(text, "a").unwrap_err().contains("ProxyUseFdpass"));
}

#[test]
fn garbled_answers_of_ssh_are_read_or_refused() {
    let answers = [
        "user me\nhostname 10.0.0.1\nport 22\nidentityfile ~/.ssh/id_ed25519\nuserknownhostsfile ~/.ssh/known_hosts /x\n",
        "proxyjump a@b:22,c\nproxycommand ssh %h -W %p %%\nidentityagent $SSH_AUTH_SOCK\nhostkeyalias x\n",
        "proxyjump none\nidentitiesonly yes\nhashknownhosts yes\nstricthostkeychecking ask\n",
    ];
    let options = Options { home: Some("/home/me".into()), ..Options::from_env() };
    let endpoint = Endpoint { host: "h".into(), user: None, port: None };
    crate::garble::each(&answers, |text| {
        if let Ok(settings) = read(&options, &endpoint, &Pairs(pairs(text)), &[]) {
            let line = settings.proxy_command.clone().unwrap_or_default();
            let _ = Tokens { options: &options, endpoint: &endpoint, settings: &settings }.command(&line);
        }
    });
}
