use std::io::{Read, Write};
use treeseal_erofs::*;
use treeseal_tree::dump::*;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let mut f: Box<dyn Read> = if a[1] == "-" {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(&a[1]).unwrap())
    };
    let mut p = DumpParser::new(if std::env::var("STRICT").is_ok() {
        Strictness::Strict
    } else {
        Strictness::Lenient
    });
    let mut b = vec![0; 1 << 20];
    loop {
        let n = f.read(&mut b).unwrap();
        if n == 0 {
            break;
        }
        if let Err(e) = p.feed(&b[..n]) {
            eprintln!("error: {e}");
            std::process::exit(2)
        }
    }
    let t = match p.finish() {
        Ok(t) => t,
        Err(e) => {
            eprintln!("error: {e}");
            std::process::exit(2)
        }
    };
    let v = match a.get(3).map(|s| s.as_str()) {
        Some("0") => VersionChoice::Fixed(FormatVersion::V0),
        Some("1") => VersionChoice::Fixed(FormatVersion::V1),
        _ => VersionChoice::Auto,
    };
    let w = ImageWriter::new(&t, v).unwrap();
    let mut o = std::fs::File::create(&a[2]).unwrap();
    w.write(&mut |p| o.write_all(p)).unwrap();
}
