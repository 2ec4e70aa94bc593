use super::*;
use crate::tls::testing::make;

#[test]
fn five_attempts_at_most_in_the_first_hour() {
    let backoff = Backoff::default();
    for fraction in [0.0, 1.0] {
        let mut at = Duration::ZERO;
        let starts = (1..).map(|failures| {
            let start = at;
            at += backoff.after(failures, fraction);
            start
        });
        let first_hour = starts.take_while(|at| *at < Duration::from_secs(3600)).count();
        assert_eq!(first_hour, 5, "{fraction}");
    }
    assert_eq!(backoff.after(1000, 0.0), Duration::from_secs(21_600));
}

#[test]
fn the_authority_can_ask_for_more_patience_but_not_for_less() {
    let asked = |seconds: u64| {
        let not_before = Some(SystemTime::now() + Duration::from_secs(seconds));
        wait_after(&Failure { what: String::new(), not_before }, Duration::from_secs(60))
    };
    assert_eq!(asked(5), Duration::from_secs(60));
    assert!(asked(7200) > Duration::from_secs(7000));
    assert_eq!(asked(u64::from(u32::MAX)), Duration::from_secs(7 * 24 * 3600));
}

#[test]
fn renewal_comes_with_a_third_of_the_life_left() {
    let day = Duration::from_secs(24 * 3600);
    let certificate = make("a.example.com", day * 90).certificate;
    let before_end =
        |fraction| certificate.not_after.duration_since(certificate.renewal(fraction)).unwrap_or_default();
    assert_eq!(before_end(0.0).as_secs() / day.as_secs(), 30);
    assert_eq!(before_end(1.0).as_secs() / day.as_secs(), 33);
}
