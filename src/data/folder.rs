//! Image folders: `train/<class>/*.png|jpg` with `test/<class>/...` (or `val/`), scaled and cropped to squares, RGB.

use super::read::DataError;
use super::{Dataset, Split};
use image::imageops::FilterType;
use image::{ImageReader, Limits};
use std::path::{Path, PathBuf};

/// Loads both splits at `size` x `size` pixels. Classes are the directories of `train`, in the order of their names.
pub(super) fn load(root: &Path, size: usize) -> Result<Dataset, DataError> {
    let train_dir = root.join("train");
    let test_dir = ["test", "val", "valid"].iter().map(|d| root.join(d)).find(|d| d.is_dir());
    let missing = |what: String| DataError::Missing {
        what,
        help: "An image folder is train/<class>/*.png|jpg with test/<class>/*.png|jpg (or val/) beside it.".into(),
    };
    if !train_dir.is_dir() {
        return Err(missing(format!("{} is no directory", train_dir.display())));
    }
    let test_dir = test_dir.ok_or_else(|| missing(format!("{} has neither test/ nor val/", root.display())))?;
    let classes: Vec<PathBuf> = entries(&train_dir)?.into_iter().filter(|p| p.is_dir()).collect();
    let names: Vec<String> = classes.iter().map(|p| name(p)).collect();
    if let Some(extra) = entries(&test_dir)?.into_iter().find(|p| p.is_dir() && !names.contains(&name(p))) {
        return Err(missing(format!("{} is a class that {} does not have", extra.display(), train_dir.display())));
    }
    let mut splits = [Split::default(), Split::default()];
    for (split, directory) in splits.iter_mut().zip([&train_dir, &test_dir]) {
        for (label, class) in names.iter().enumerate() {
            let class = directory.join(class);
            if !class.is_dir() {
                continue;
            }
            for file in entries(&class)?.into_iter().filter(|f| is_image(f)) {
                split.pixels.extend(decode(&file, size as u32)?);
                split.labels.push(label as u32);
            }
        }
    }
    let [train, test] = splits;
    Ok(Dataset::new(name(root), [3, size, size], names, train, test))
}

fn name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned())
}

fn is_image(path: &Path) -> bool {
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    path.is_file() && extension.is_some_and(|e| ["png", "jpg", "jpeg"].contains(&e.as_str()))
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>, DataError> {
    let read = std::fs::read_dir(directory).map_err(DataError::io(directory))?;
    let mut paths = read.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>().map_err(DataError::io(directory))?;
    paths.sort();
    Ok(paths)
}

/// Short side to `size`, the centre kept, RGB bytes of shape `[size, size, 3]`.
fn decode(file: &Path, size: u32) -> Result<Vec<u8>, DataError> {
    let broken = |what: String| DataError::Image { path: file.to_owned(), what };
    let mut reader = ImageReader::open(file).map_err(DataError::io(file))?.with_guessed_format().map_err(DataError::io(file))?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(1 << 15);
    limits.max_image_height = Some(1 << 15);
    limits.max_alloc = Some(1 << 30);
    reader.limits(limits);
    let image = reader.decode().map_err(|e| broken(e.to_string()))?;
    Ok(image.resize_to_fill(size, size, FilterType::Triangle).to_rgb8().into_raw())
}
