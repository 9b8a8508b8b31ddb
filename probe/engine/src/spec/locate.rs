//! The line of a text on which the value of a JSON pointer stands.
//!
//! Exact in JSON. In YAML it follows block mappings and sequences by their indentation, and stops at the last
//! part of the pointer that it finds so (a flow mapping, an alias): the line is then that of the nearest
//! enclosing value. No second parser, and only asked when there is a problem to show.

/// The line, from 1; of the nearest enclosing value when the value itself is not found.
#[must_use]
pub fn line_of(text: &str, pointer: &str) -> u32 {
    let keys: Vec<String> =
        pointer.split('/').skip(1).map(|key| key.replace("~1", "/").replace("~0", "~")).collect();
    if text.trim_start().starts_with('{') { json_line(text, &keys) } else { yaml_line(text, &keys) }
}

/// Walks the tokens of a JSON text.
fn json_line(text: &str, keys: &[String]) -> u32 {
    let mut walk = Json { bytes: text.as_bytes(), at: 0, line: 1 };
    let mut found = 1;
    for key in keys {
        walk.space();
        let here = match walk.peek() {
            Some(b'{') => walk.member(key),
            Some(b'[') => key.parse().is_ok_and(|number| walk.item(number)),
            _ => false,
        };
        if !here {
            break;
        }
        found = walk.line;
    }
    found
}

struct Json<'t> {
    bytes: &'t [u8],
    at: usize,
    line: u32,
}

impl Json<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn step(&mut self) {
        self.line += u32::from(self.peek() == Some(b'\n'));
        self.at += 1;
    }

    fn space(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace() || matches!(byte, b',' | b':')) {
            self.step();
        }
    }

    /// The text of a string, past it.
    fn string(&mut self) -> Vec<u8> {
        let start = self.at;
        self.step();
        while let Some(byte) = self.peek() {
            if byte == b'\\' {
                self.step();
            }
            self.step();
            if byte == b'"' {
                break;
            }
        }
        self.bytes.get(start..self.at.min(self.bytes.len())).unwrap_or_default().to_vec()
    }

    /// Past one value of any kind.
    fn skip(&mut self) {
        let mut depth = 0_u32;
        loop {
            self.space();
            match self.peek() {
                None => return,
                Some(b'"') => drop(self.string()),
                Some(b'{' | b'[') => {
                    depth += 1;
                    self.step();
                }
                Some(b'}' | b']') => {
                    depth = depth.saturating_sub(1);
                    self.step();
                }
                Some(_) => {
                    while self
                        .peek()
                        .is_some_and(|byte| !byte.is_ascii_whitespace() && !b",:{}[]\"".contains(&byte))
                    {
                        self.step();
                    }
                }
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// Goes to the value of a key.
    fn member(&mut self, key: &str) -> bool {
        let wanted = serde_json::to_vec(key).unwrap_or_default();
        self.step();
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return false;
            }
            let line = self.line;
            if self.string() == wanted {
                self.space();
                // The key's line is where one looks.
                self.line = self.line.max(line);
                return true;
            }
            self.skip();
        }
    }

    /// Goes to an item.
    fn item(&mut self, number: usize) -> bool {
        self.step();
        for _ in 0..number {
            self.space();
            if matches!(self.peek(), None | Some(b']')) {
                return false;
            }
            self.skip();
        }
        self.space();
        !matches!(self.peek(), None | Some(b']'))
    }
}

/// Walks the lines of a YAML text.
fn yaml_line(text: &str, keys: &[String]) -> u32 {
    let lines: Vec<(usize, &str)> = text.lines().map(|line| (indent(line), line.trim())).collect();
    let mut found = 0;
    // Where the children of the value found last are, and how far its own line is indented.
    let (mut from, mut outer) = (0, None);
    for key in keys {
        let Some((line, inner)) = child(&lines, from, outer, key) else { break };
        (found, from, outer) = (line, line + 1, Some(inner));
    }
    found as u32 + 1
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// The line of a child, and the indentation beyond which its own children stand.
fn child(lines: &[(usize, &str)], from: usize, outer: Option<usize>, key: &str) -> Option<(usize, usize)> {
    let mut level = None;
    let mut item = 0_usize;
    for (number, (indent, line)) in lines.iter().enumerate().skip(from) {
        if line.is_empty() || line.starts_with('#') || line.starts_with("---") {
            continue;
        }
        // A sequence may stand at the indentation of its key.
        let inside =
            outer.is_none_or(|outer| *indent > outer || (*indent == outer && line.starts_with("- ")));
        if !inside {
            return None;
        }
        let level = *level.get_or_insert(*indent);
        if *indent != level {
            continue;
        }
        if let Some(rest) = line.strip_prefix('-').filter(|rest| rest.is_empty() || rest.starts_with(' ')) {
            if key.parse() == Ok(item) {
                return Some((number, level));
            }
            let _inline = rest;
            item += 1;
        } else if is_key(line, key) {
            return Some((number, level));
        }
    }
    None
}

fn is_key(line: &str, key: &str) -> bool {
    let (quoted, double) = (format!("'{key}'"), format!("\"{key}\""));
    [key, &quoted, &double]
        .iter()
        .any(|key| line.strip_prefix(*key).is_some_and(|rest| rest.trim_start().starts_with(':')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const YAML: &str = "\
openapi: 3.1.0
# paths: none
paths:
  /users/{user}:
    get:
      parameters:
        - name: page
          in: query
        - $ref: '#/nowhere'
      responses:
        '200': { description: yes }
        \"404\":
          description: no
  /b:
    get:
      parameters:
      - name: x
      - name: y
";

    #[test]
    fn yaml_places() {
        for (pointer, line) in [
            ("", 1),
            ("/paths", 3),
            ("/paths/~1users~1{user}", 4),
            ("/paths/~1users~1{user}/get/parameters/1", 9),
            ("/paths/~1users~1{user}/get/responses/200", 11),
            ("/paths/~1users~1{user}/get/responses/200/description", 11),
            ("/paths/~1users~1{user}/get/responses/404/description", 13),
            ("/paths/~1b/get/parameters/1", 18),
            ("/paths/~1c/get", 3),
        ] {
            assert_eq!(line_of(YAML, pointer), line, "{pointer}");
        }
    }

    #[test]
    fn json_places() {
        let text = "{\n \"a\": [1, {\"b\\\"\": \"]}\"},\n  {\"c/d\":\n true}],\n \"e\": {}\n}";
        for (pointer, line) in [("/a", 2), ("/a/1", 2), ("/a/2", 3), ("/a/2/c~1d", 4), ("/e", 5), ("/a/9", 2)]
        {
            assert_eq!(line_of(text, pointer), line, "{pointer}");
        }
    }

    proptest! {
        #[test]
        fn no_text_and_no_pointer_is_too_much(text in "[\\[\\]{}\":,\\\\a0 \n-]{0,80}", pointer in "(/[a0~1\"]{0,3}){0,4}") {
            let line = line_of(&text, &pointer);
            prop_assert!(line >= 1 && line as usize <= text.lines().count().max(1) + 1);
        }
    }
}
