use super::*;

fn shown(source: &str, message: &str) -> String {
    match Template::parse(source) {
        Ok(template) => template.render(message),
        Err(e) => format!("error: {e}"),
    }
}

#[test]
fn fields_and_branches() {
    let page = "{{ if .Message }}<p>{{.Message}}</p>{{ else }}<p>Sorry</p>{{ end }}";
    for (source, message, expected) in [
        (page, "", "<p>Sorry</p>"),
        (page, "Back & better", "<p>Back &amp; better</p>"),
        ("{{ .Message }}{{ .Other }}!", "a", "a!"),
        ("{{if .Other}}x{{else if .Message}}y{{else}}z{{end}}", "a", "y"),
        ("{{if .Other}}x{{else if .Message}}y{{else}}z{{end}}", "", "z"),
        ("{{if .Message}}{{if .Other}}x{{end}}y{{end}}", "a", "y"),
        ("a{{/* a comment }} with braces */}}b", "", "ab"),
        ("a {{- /* trimmed */ -}} b", "", "ab"),
        ("a \n {{- .Message -}} \n b", "-", "a-b"),
        (
            "a {{-.Message}} b",
            "-",
            "error: line 1: '{{ -.Message }}' is not supported: error pages support fields, if, else and comments",
        ),
        ("no braces } } { { here", "", "no braces } } { { here"),
        ("body { color: red } }} ", "", "body { color: red } }} "),
        ("{{ .Message }}", "{{ .Message }}", "{{ .Message }}"),
        ("{{ .Message }}", "a+b\0\"", "a&#43;b\u{fffd}&#34;"),
    ] {
        assert_eq!(shown(source, message), expected, "{source}");
    }
}

#[test]
fn everything_else_is_an_error_with_its_line() {
    for (source, expected) in [
        (
            "a\nb {{ range .Items }}x{{ end }}",
            "line 2: '{{ range .Items }}' is not supported: error pages support fields, if, else and comments",
        ),
        (
            "{{ printf \"x\" }}",
            "line 1: '{{ printf \"x\" }}' is not supported: error pages support fields, if, else and comments",
        ),
        (
            "{{ .Message | html }}",
            "line 1: '{{ .Message | html }}' is not supported: error pages support fields, if, else and comments",
        ),
        ("{{ if .A.B }}x{{ end }}", "line 1: '.A.B' is not a field such as .Message"),
        ("{{ . }}", "line 1: '.' is not a field such as .Message"),
        (
            "{{ if not .Message }}x{{ end }}",
            "line 1: '{{ if not .Message }}' is not supported: error pages support fields, if, else and comments",
        ),
        ("{{ if }}x{{ end }}", "line 1: 'if' needs a field such as .Message"),
        ("{{ }}", "line 1: the braces are empty"),
        ("a\n\n{{ .Message", "line 3: '{{' without '}}'"),
        ("{{ if .Message }}\nx\n", "line 2: {{ if }} without {{ end }}"),
        ("x{{ end }}", "line 1: {{ end }} without an if"),
        ("\nx{{ else }}", "line 2: {{ else }} without an if"),
        ("{{ if .A }}{{ else }}{{ else }}{{ end }}", "line 1: {{ else }} after {{ else }}"),
        ("{{ /* open", "line 1: '{{' without '}}'"),
        ("{{ /* a */ .Message }}", "line 1: a comment must be alone between its braces"),
    ] {
        assert_eq!(shown(source, ""), format!("error: {expected}"), "{source}");
    }
    let deep = format!("{}x{}", "{{ if .A }}".repeat(60), "{{ end }}".repeat(60));
    assert_eq!(shown(&deep, ""), "error: line 1: ifs are nested too deeply");
}

#[test]
fn a_value_stands_only_where_escaping_makes_it_safe() {
    for good in [
        "<p>{{ .Message }}</p>",
        "<title>{{ .Message }}</title>",
        "<script>var a = '<p>';</script>{{ .Message }}",
        "<style>p { color: red }</style><p>{{ .Message }}",
        "<p title=\"{{ .Message }}\">",
        "<p class='a {{ .Message }}'>",
        "<p data-note = \"{{ .Message }}\">",
        "<!-- > <script> -->{{ .Message }}",
        "<!doctype html>{{ .Message }}",
        "1 < 2 {{ .Message }}",
        "<SCRIPT></SCRIPT >{{ .Message }}",
        "<a href=x>{{ .Message }}</a>",
        "<p {{ if .Message }}hidden{{ end }} title=\"{{ .Message }}\">",
        "<title>{{ if .Message }}a{{ else }}bc{{ end }}</title>{{ .Message }}",
        "<!-- {{ if .Message }}a-{{ else }}b{{ end }} -->{{ .Message }}",
    ] {
        assert!(Template::parse(good).is_ok(), "{good}: {}", shown(good, ""));
    }
    for bad in [
        "<script>{{ .Message }}</script>",
        "<script>'</scripty>'{{ .Message }}</script>",
        "<ScRiPt async>{{ .Message }}",
        "<style>{{ .Message }}</style>",
        "<p {{ .Message }}>",
        "<p title={{ .Message }}>",
        "<p title=a{{ .Message }}>",
        "<{{ .Message }}>",
        "<b{{ .Message }}>",
        "</{{ .Message }}>",
        "<a href=\"{{ .Message }}\">",
        "<a xlink:href=\"{{ .Message }}\">",
        "<img src='{{ .Message }}'>",
        "<p onclick=\"{{ .Message }}\">",
        "<p style=\"{{ .Message }}\">",
        "<p data-url=\"{{ .Message }}\">",
        "<!-- {{ .Message }} -->",
        "<p title=\"{{ if .Message }}\"{{ end }}>",
        "{{ if .Message }}<script>{{ else }}<p>{{ end }}",
        "<p {{ if .Message }}title{{ else }}onclick{{ end }}=\"{{ .Message }}\">",
        "<style>{{ if .Message }}</style{{ end }}>{{ .Message }}",
    ] {
        assert!(Template::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn hostile_pages_neither_crash_nor_let_a_message_out() {
    let pieces = [
        "{{",
        "}}",
        " ",
        "-",
        ".Message",
        "if",
        "else",
        "end",
        "/*",
        "*/",
        "<",
        ">",
        "/",
        "!--",
        "--",
        "script",
        "style",
        "p",
        "title",
        "\"",
        "'",
        "=",
        "href",
        "\n",
        "é",
        "{{ if .Message }}",
        "{{ else }}",
        "{{ end }}",
        "{{ .Message }}",
        "<p title=\"",
        "<script>",
        "</script>",
    ];
    let mut random = crate::seeded::Random::new(4);
    let mut accepted = 0;
    for _ in 0..30_000 {
        let source = random.text(&pieces, 14);
        if let Ok(template) = Template::parse(&source) {
            accepted += 1;
            let page = template.render("\u{1}<img src=x onerror=alert(1)>'\"\u{1}");
            for inside in page.split('\u{1}').skip(1).step_by(2) {
                assert_eq!(inside, "&lt;img src=x onerror=alert(1)&gt;&#39;&#34;", "{source:?}");
            }
        }
    }
    assert!(accepted > 1_000, "{accepted}");
}
