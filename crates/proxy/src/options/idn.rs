//! Punycode (RFC 3492): the form of host names that clients send, such as `xn--bcher-kva` for `bücher`.

const BASE: u32 = 36;
const MIN: u32 = 1;
const MAX: u32 = 26;
const DIGITS: [char; BASE as usize] = [
    'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p', 'q', 'r', 's', 't', 'u',
    'v', 'w', 'x', 'y', 'z', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9',
];

/// Converts a name to its form in a `Host` header. A name that is ASCII, or can't be encoded, stays as it is.
pub(super) fn to_ascii(name: &str) -> String {
    if name.is_ascii() {
        return name.to_owned();
    }
    let label = |label: &str| {
        if label.is_ascii() {
            Some(label.to_owned())
        } else {
            encode(label).map(|text| format!("xn--{text}"))
        }
    };
    let labels: Option<Vec<_>> = name.to_lowercase().split(['.', '。']).map(label).collect();
    labels.map_or_else(|| name.to_owned(), |labels| labels.join("."))
}

/// Returns `None` if the numbers grow too large, which doesn't happen with real names.
fn encode(label: &str) -> Option<String> {
    let points: Vec<u32> = label.chars().map(u32::from).collect();
    let mut text: String = label.chars().filter(char::is_ascii).collect();
    let basic = u32::try_from(text.len()).ok()?;
    if basic > 0 {
        text.push('-');
    }
    let (mut point, mut delta, mut bias, mut handled) = (128, 0_u32, 72, basic);
    while let Some(next) = points.iter().copied().filter(|other| *other >= point).min() {
        delta = delta.checked_add((next - point).checked_mul(handled + 1)?)?;
        for other in &points {
            if *other < next {
                delta = delta.checked_add(1)?;
            } else if *other == next {
                push_number(&mut text, delta, bias);
                bias = adapt(delta, handled + 1, handled == basic);
                delta = 0;
                handled += 1;
            }
        }
        delta = delta.checked_add(1)?;
        point = next + 1;
    }
    Some(text)
}

/// Appends a number in digits whose weights depend on the bias.
fn push_number(text: &mut String, mut number: u32, bias: u32) {
    let mut push =
        |value: u32| text.extend(usize::try_from(value).ok().and_then(|at| DIGITS.get(at)).copied());
    for position in (BASE..).step_by(BASE as usize) {
        let threshold = position.saturating_sub(bias).clamp(MIN, MAX);
        if number < threshold {
            break;
        }
        push(threshold + (number - threshold) % (BASE - threshold));
        number = (number - threshold) / (BASE - threshold);
    }
    push(number);
}

fn adapt(delta: u32, points: u32, is_first: bool) -> u32 {
    let mut delta = if is_first { delta / 700 } else { delta / 2 };
    delta += delta / points;
    let mut rounds = 0;
    while delta > (BASE - MIN) * MAX / 2 {
        delta /= BASE - MIN;
        rounds += BASE;
    }
    rounds + (BASE - MIN + 1) * delta / (delta + 38)
}

#[cfg(test)]
mod tests {
    use super::to_ascii;

    #[test]
    fn names_are_written_as_clients_ask_for_them() {
        for (name, ascii) in [
            ("shop.example", "shop.example"),
            ("Shop.example", "Shop.example"),
            ("", ""),
            ("bücher.example", "xn--bcher-kva.example"),
            ("*.BÜCHER.example", "*.xn--bcher-kva.example"),
            ("faß.example", "xn--fa-hia.example"),
            ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
            ("ليهمابتكلموشعربي؟", "xn--egbpdaj6bu4bxfgehfvwxn"),
            ("почемужеонинеговорятпорусски", "xn--b1abfaaepdrnnbgefbadotcwatmq2g4l"),
            ("3年b組金八先生", "xn--3b-ww4c5e180e575a65lsy2b"),
            ("ひとつ屋根の下2", "xn--2-u9tlzr9756bt3uc0v"),
        ] {
            assert_eq!(to_ascii(name), ascii, "{name}");
        }
    }
}
