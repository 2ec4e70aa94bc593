//! Mapping positions in the text to the file, for any template.

use proptest::prelude::*;

use super::*;
use crate::load;

/// Pieces of templates that render.
const PIECES: &[&str] = &[
    "a: b\n",
    "é ",
    "<%= ENV['A'] %>",
    "<%= ENV['LINES'] -%>\n",
    "<%= ENV['NONE'] %>",
    "  <%- if ENV['A'] -%>\n",
    "<% unless ENV['A'] %>",
    "<% end %>",
    "<% else -%>\r\n",
    "<%# c %>",
    "<%% ",
    "# <%= x %>\n",
    "\n",
    "\t",
];

proptest! {
    /// Copied text maps to where it was copied from. The output of a tag maps to a tag.
    #[test]
    fn every_place_of_the_text_has_its_place_in_the_file(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 0..30),
        places in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 20),
    ) {
        let source = pieces.concat();
        let Ok(file) = render(&source) else { return Ok(()) };
        let Some(rendered) = file.template() else { return Ok(()) };
        let bounds: Vec<usize> = rendered.text.char_indices().map(|(at, _)| at).chain([rendered.text.len()]).collect();
        let mut last = 0;
        for pair in bounds.windows(2) {
            let origin = rendered.origin(pair[0]..pair[1]);
            let (given, written) = (&rendered.text[pair[0]..pair[1]], &source[origin.clone()]);
            prop_assert!(written == given || written.starts_with("<%="), "{given:?} from {written:?}");
            prop_assert!(origin.start >= last, "in order");
            last = origin.start;
        }
        for (one, other) in places {
            let (one, other) = (bounds[one.index(bounds.len())], bounds[other.index(bounds.len())]);
            let range = one.min(other)..one.max(other);
            let origin = rendered.origin(range.clone());
            prop_assert!(source.get(origin.clone()).is_some(), "at characters of the file");
            prop_assert_eq!(range.is_empty(), origin.is_empty() && range.is_empty());
        }
    }

    /// Rendering never panics, and its errors can be shown.
    #[test]
    fn any_text_is_rendered_or_refused(
        text in "(<%=?|%>|ENV|\\[|\\]|'|\"|`|#\\{|\\}|\\(|\\)|\\.strip|\\|\\||\\?|:|if|else|end|\\\\|%x|1| |\n|é|a: ){0,40}",
    ) {
        if let Ok(file) = render(&text) {
            let _ = load(file, None).map_err(|errors| errors.render(false));
        }
    }
}
