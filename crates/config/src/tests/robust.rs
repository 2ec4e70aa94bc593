//! No file makes the loader or the rendering of its diagnostics panic.

use proptest::prelude::*;

use super::*;

/// Parts of configurations, so that generated texts reach the decoders.
const PIECES: &[&str] = &[
    "service: app\n",
    "image: me/app\n",
    "servers:\n",
    "servers: [1.1.1.1]\n",
    "  web:\n",
    "  - 1.1.1.2: tag\n",
    "    hosts:\n",
    "      - a: [b, c]\n",
    "registry:\n",
    "  password: hunter2\n",
    "  username: é\n",
    "env:\n",
    "  clear:\n",
    "    A: yes\n",
    "  secret:\n",
    "    - A:B\n",
    "  tags:\n",
    "env_tags: {tag: {A: 1}}\n",
    "labels: &l {a: b}\n",
    "x-a: &a\n",
    "  <<: *a\n",
    "  <<: [*l, *l]\n",
    "boot: {limit: 10%}\n",
    "healthcheck: {interval: 1s}\n",
    "ssh:\n",
    "  port: \"22\"\n",
    "  proxy: a@b:1\n",
    "\t",
    "\r\n",
    "- ",
    ": ",
    "'",
    "\"",
    "[",
    "}",
    "|\n",
    "&a ",
    "*a",
    "!x ",
    "é",
    "\u{1F600}",
    "\0",
    "---\n",
    "<% x %>",
    "# c\n",
    " ",
    "\n",
    "\u{feff}",
    "\u{2028}",
    "traefik: 1\n",
    "proxy: 1\n",
    "unknwon: 1\n",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn arbitrary_text_is_read_or_refused(base in ".{0,200}", over in ".{0,60}") {
        rendered(read(&base));
        rendered(read_for("staging", &base, &over));
    }

    #[test]
    fn arbitrary_pieces_are_read_or_refused(
        base in prop::collection::vec(prop::sample::select(PIECES), 0..40),
        over in prop::collection::vec(prop::sample::select(PIECES), 0..20),
    ) {
        let said = rendered(read_for("staging", &base.concat(), &over.concat()));
        prop_assert!(!said.contains("hunter2"), "{said}");
        for error in read(&base.concat()).err().iter().flat_map(|errors| errors.iter().map(|error| errors.locate(error))) {
            prop_assert!(error.line >= 1 && error.column >= 1);
        }
    }
}

#[test]
fn aliases_of_aliases_are_bounded() {
    let mut text = String::from("x-0: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9]\n");
    for level in 1..20 {
        let before = format!("*a{}", level - 1);
        text += &format!("x-{level}: &a{level} [{}]\n", vec![before; 9].join(", "));
    }
    assert!(rendered(read(&text)).contains("too many values"));
    assert!(rendered(read(&"[".repeat(10_000))).contains("nested too deeply"));
    assert!(rendered(read("x-a: &a [*a]\n")).contains("inside its own anchor"));
}
