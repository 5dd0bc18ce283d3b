//! Fetches a data set and says what is in it: `cargo run -p varflow-io --example fetch -- fashion-mnist [DIR]`.

use std::path::PathBuf;
use varflow_io::{FetchEvent, default_data_dir, fetch, load_mnist_like};

fn main() -> varflow_ops::Result<()> {
    let mut args = std::env::args().skip(1);
    let name = args.next().unwrap_or_else(|| "fashion-mnist".to_string());
    let dir = args.next().map_or_else(|| default_data_dir(&name), |d| Ok(PathBuf::from(d)))?;
    fetch(&name, &dir, &mut |event| match event {
        FetchEvent::Arrived { len_bytes, total_bytes } => eprint!("\r{len_bytes} of {total_bytes} bytes"),
        event => eprintln!("\r{event:?}"),
    })?;
    let set = load_mnist_like(&dir)?;
    println!("{}: {} training pictures of shape {}", dir.display(), set.train.len(), set.train.images.shape());
    println!("{}: {} test pictures", dir.display(), set.test.len());
    Ok(())
}
