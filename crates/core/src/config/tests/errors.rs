use super::*;
#[test]
fn explore() {
    for text in [
        "servies: x\n",
        "retain_containers: \"5\"\nlabels: [a]\n",
        "proxy: {ssl: true}\n",
        "env: {A: }\n",
        "service: x\n",
        "ssh:\n\tport: 22\n",
        "cmd: \"abc\nfoo: 1\n",
        "labels: {a: b\n",
        "labels: [a, b\nfoo: 1\n",
        "foo: bar: baz\n",
        "labels:\n  a: b\n c: d\n",
        "foo\n",
        "a: @x\n",
        "a: *x\n",
        "a: \"\\d\"\n",
        "a: 'b' c\n",
        "a: %x\n",
        "password: \"hunter2\nfoo: 1\n",
        "- a\n",
        "volumes:\n- a\n -b\n",
        "a: [}]\n",
        "a: ]\n",
        "env:\n  A: !ruby/object x\n",
        "env: {A: \"a\\0b\"}\n",
        "env: {A: <%= 1 %>}\n",
    ] {
        println!("#### {text:?}\n{}\n", errors(text));
    }
}
