//! Images that stay on the disk: packed files, and runs that read them while they train.

use crate::environment::{earlybird, program};
use crate::support::{advance_until, finish, hash, noise, session};
use earlybird::data::{self, DataConfig, Packing, Resident, Source};
use earlybird::model::device::{CudaMath, DeviceName};
use earlybird::protocol::{Cause, Event};
use earlybird::train::{Progress, Session};
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, RgbImage};
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// JPEG and PNG files of many sizes: 24 of each of two classes to train on, and ten to test.
fn write_photos(root: &Path) {
    for (split, count) in [("train", 24), ("test", 10)] {
        for (c, class) in ["cat", "dog"].into_iter().enumerate() {
            let directory = root.join(split).join(class);
            fs::create_dir_all(&directory).unwrap();
            for i in 0..count {
                let (w, h) = ([20, 31, 48][i % 3], [40, 17, 24, 33][i % 4]);
                let mut pixels = noise(w * h * 3, (i + 100 * c + split.len() * 1_000) as u64);
                pixels.iter_mut().step_by(3 - c).for_each(|v| *v /= 2);
                let (w, h) = (w as u32, h as u32);
                if i % 5 == 0 {
                    let image = RgbImage::from_raw(w, h, pixels).unwrap();
                    image.save(directory.join(format!("{i:02}.png"))).unwrap();
                } else {
                    let mut bytes = Vec::new();
                    JpegEncoder::new_with_quality(&mut bytes, 90)
                        .encode(&pixels, w, h, ExtendedColorType::Rgb8)
                        .unwrap();
                    fs::write(directory.join(format!("{i:02}.jpg")), bytes).unwrap();
                }
            }
        }
    }
}

struct Photos {
    dir: tempfile::TempDir,
}

impl Photos {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        write_photos(&dir.path().join("photos"));
        let photos = Self { dir };
        photos.pack("photos.tar", Packing::default()).unwrap();
        photos
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("photos")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn packed(&self) -> PathBuf {
        self.file("photos.tar")
    }

    fn pack(&self, name: &str, packing: Packing) -> Result<data::Pack, String> {
        data::pack(&self.folder(), &self.file(name), packing, &mut |_| {})
            .map_err(|e| e.to_string())
    }

    /// A session of three epochs of three steps on them.
    fn session(&self, source: &str, more: &[&str]) -> Session {
        let path = if source == "folder" { self.folder() } else { self.packed() };
        let (source, path) =
            (format!("data.source={source}"), format!("data.path={}", path.display()));
        let base = [
            source.as_str(),
            path.as_str(),
            "data.image_size=16",
            "data.imbalance=1.0",
            "data.train_limit=0",
            "data.test_limit=0",
            "train.batch_size=16",
            "train.epochs=3",
            "importance.pretrain_epochs=1",
        ];
        session(&[&base[..], more].concat())
    }

    fn hash(&self, source: &str, more: &[&str]) -> String {
        hash(&finish(&mut self.session(source, more)))
    }
}

/// A packed file's images, all of them in memory.
fn in_memory(packed: &Path) -> data::Dataset {
    let path = packed.display().to_string();
    let (source, resident) = (Source::Packed, Resident::Device);
    let config = DataConfig { source, path, resident, ..DataConfig::default() };
    data::load(&config, 1, &mut |_| {}).unwrap()
}

#[test]
fn a_packed_file_is_a_tar_of_the_folders_files_and_reads_as_the_folder_does() {
    let photos = Photos::new();
    let mut archive = tar::Archive::new(fs::File::open(photos.packed()).unwrap());
    let out = photos.file("out");
    archive.unpack(&out).unwrap();
    let mut files = 0;
    for split in ["train", "test"] {
        for class in ["cat", "dog"] {
            for file in fs::read_dir(photos.folder().join(split).join(class)).unwrap() {
                let path = file.unwrap().path();
                let below = path.strip_prefix(photos.folder()).unwrap();
                assert_eq!(fs::read(out.join(below)).unwrap(), fs::read(&path).unwrap());
                files += 1;
            }
        }
    }
    assert_eq!(files, 68);
    assert!(out.join("index.safetensors").exists() && out.join("INDEX").exists());
    let (folder, _) = data::check(&photos.folder(), &mut |_| {}).unwrap();
    let (checked, source) = data::check(&photos.packed(), &mut |_| {}).unwrap();
    assert_eq!((source.name(), &checked.classes), ("packed", &folder.classes));
    let packed = in_memory(&photos.packed());
    assert!(packed.train == folder.train && packed.test == folder.test, "the same pixels");
}

#[test]
fn images_are_packed_smaller_or_as_pixels_where_that_is_asked_for() {
    let photos = Photos::new();
    let whole = photos.pack("whole.tar", Packing { raw: true, ..Packing::default() }).unwrap();
    assert_eq!((whole.images, whole.rewritten), ([48, 20], 68));
    let (folder, _) = data::check(&photos.folder(), &mut |_| {}).unwrap();
    let raw = in_memory(&photos.file("whole.tar"));
    assert!(raw.train == folder.train, "pixels are what the files decode to");
    let small = Packing { short_side: Some(20), ..Packing::default() };
    let small = photos.pack("small.tar", small).unwrap();
    // Short sides are 17, 20, 24, 31 and 33; those of 20 and less stay.
    assert!((20..50).contains(&small.rewritten), "{}", small.rewritten);
    let (read, _) = data::check(&photos.file("small.tar"), &mut |_| {}).unwrap();
    assert_eq!((read.train.len(), read.train.labels), (48, folder.train.labels));
    let refused = photos.pack("small.tar", Packing::default()).unwrap_err();
    assert!(refused.contains("small.tar is there already"), "{refused}");
}

#[test]
fn a_damaged_image_is_refused_or_left_out_and_told_and_nothing_half_is_left() {
    let photos = Photos::new();
    fs::write(photos.folder().join("train/cat/03.jpg"), b"<html>404</html>").unwrap();
    let refused = photos.pack("x.tar", Packing::default()).unwrap_err();
    assert!(refused.contains("train/cat/03.jpg: it is a web page"), "{refused}");
    let names = || fs::read_dir(photos.dir.path()).unwrap().count();
    assert_eq!(names(), 2, "photos and photos.tar");
    let skipping = Packing { skip_broken: true, ..Packing::default() };
    let packed = photos.pack("x.tar", skipping).unwrap();
    let told = packed.findings.iter().map(data::Finding::text).collect::<Vec<_>>().join("; ");
    assert_eq!(packed.images, [47, 20]);
    assert!(told.contains("1 file in train/cat is damaged, and left out"), "{told}");
    assert_eq!(names(), 3);
}

#[test]
fn a_packed_file_that_is_cut_or_changed_says_so() {
    let photos = Photos::new();
    let whole = fs::read(photos.packed()).unwrap();
    let told = |bytes: &[u8]| {
        fs::write(photos.packed(), bytes).unwrap();
        program().args(["data", "check"]).arg(photos.packed()).output().unwrap()
    };
    for (bytes, part) in [
        (&whole[..100], "holds no data that is known"),
        (&whole[..whole.len() - 512], "holds no data that is known"),
    ] {
        let output = told(bytes);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(part), "{text}");
    }
    // With data.source = "packed", what is wrong with it is said.
    let refused = |bytes: &[u8]| {
        fs::write(photos.packed(), bytes).unwrap();
        let config = format!("data.path={}", photos.packed().display());
        let args = ["train", "--headless", "--set", "data.source=packed", "--set", &config];
        let output = earlybird(photos.dir.path(), &args).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let text = refused(&whole[..whole.len() - 512]);
    assert!(text.contains("ends without an index") && text.contains("data pack"), "{text}");
    let mut spoilt = whole.clone();
    let index = whole.windows(17).position(|w| w == b"index.safetensors").unwrap();
    spoilt[index + 2_000] ^= 1;
    let text = refused(&spoilt);
    assert!(text.contains("its index is damaged"), "{text}");
}

#[test]
fn a_run_is_the_same_wherever_its_images_lie_and_however_many_workers_read_them() {
    let photos = Photos::new();
    let shown = ["data.crop_padding=2", "data.flip=true"];
    let with = |source: &str, more: &[&str]| photos.hash(source, &[&shown[..], more].concat());
    let resident = with("folder", &["data.resident=device"]);
    assert_eq!(with("packed", &["data.resident=device"]), resident);
    for workers in ["1", "2", "4"] {
        let workers = format!("data.workers={workers}");
        for source in ["folder", "packed"] {
            let streamed = with(source, &["data.resident=stream", &workers]);
            assert_eq!(streamed, resident, "{source}, {workers}");
        }
    }
}

const CROPPED: [&str; 5] = [
    "data.train_crop=random-resized",
    "data.flip=true",
    "data.eval_resize=20",
    "data.normalize=imagenet",
    "data.validation=0.2",
];

#[test]
fn random_crops_long_tails_noise_and_validation_work_on_streamed_images() {
    let photos = Photos::new();
    let mut set = CROPPED.to_vec();
    set.extend(["data.imbalance=3.0", "data.label_noise=0.1", "importance.adjust=drawn"]);
    let one = photos.hash("packed", &[&set[..], &["data.workers=1"]].concat());
    assert_eq!(photos.hash("folder", &[&set[..], &["data.workers=3"]].concat()), one);
    set[0] = "data.train_crop=shift";
    assert_ne!(photos.hash("packed", &[&set[..], &["data.resident=stream"]].concat()), one);
}

#[test]
fn a_streamed_run_goes_on_from_any_moment_as_if_it_had_never_stopped() {
    let photos = Photos::new();
    let begin = || photos.session("packed", &[&CROPPED[..], &["data.workers=2"]].concat());
    let straight = hash(&finish(&mut begin()));
    let moments = {
        let (mut session, mut count) = (begin(), 0);
        advance_until(&mut session, |_, _, _| {
            count += 1;
            false
        });
        count
    };
    for moment in 0..moments - 1 {
        let (mut session, mut count) = (begin(), 0);
        advance_until(&mut session, |_, _, _| {
            count += 1;
            count > moment
        });
        let checkpoint = session.checkpoint();
        drop(session);
        let config = &checkpoint.state.config;
        let dataset = data::load(&config.data, config.seed, &mut |_| {}).unwrap();
        let device = DeviceName::LibtorchCpu.open_with(CudaMath::default()).unwrap();
        let mut second = Session::restore(&checkpoint, dataset, &device, "cpu").unwrap();
        assert_eq!(hash(&finish(&mut second)), straight, "after {moment} of {moments}");
    }
}

/// Advances until the session waits for an image; why.
fn waits_for_data(session: &mut Session) -> String {
    loop {
        let progress = session.advance();
        for event in session.take_events() {
            if let Event::Paused { cause: Cause::Data, reason: Some(reason), .. } = event {
                return reason;
            }
        }
        assert_ne!(progress, Progress::Finished, "it did not wait");
    }
}

#[test]
fn an_image_that_cannot_be_read_pauses_the_run_until_it_can_and_changes_nothing() {
    let photos = Photos::new();
    let streamed = ["data.resident=stream"];
    let straight = photos.hash("folder", &streamed);
    // In training, and in an evaluation.
    for file in ["train/dog/07.jpg", "test/cat/05.png"] {
        let path = photos.folder().join(file);
        let mut session = photos.session("folder", &streamed);
        let whole = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let reason = waits_for_data(&mut session);
        assert!(reason.starts_with(file) && reason.contains("No such file"), "{reason}");
        assert!(reason.contains("goes on by itself"), "{reason}");
        assert_eq!(session.advance(), Progress::Paused);
        assert!(!session.retry_data(), "it is still not there");
        for half in [whole[..whole.len() / 2].to_vec(), vec![0; whole.len()]] {
            fs::write(&path, half).unwrap();
            assert!(!session.retry_data(), "half of it is not enough, nor is its length");
        }
        fs::write(&path, &whole).unwrap();
        assert!(session.retry_data());
        assert_eq!(hash(&finish(&mut session)), straight, "{file}");
    }
}

#[test]
fn bytes_of_a_packed_file_that_changed_are_found_when_they_are_first_read() {
    let photos = Photos::new();
    // Of the data's own mean, all of them are read before training begins.
    let set = ["data.resident=stream", "data.normalize=imagenet"];
    let straight = photos.hash("packed", &set);
    let whole = fs::read(photos.packed()).unwrap();
    let at = whole.windows(16).position(|w| w == b"train/dog/07.jpg").unwrap() as u64 + 600;
    let mut session = photos.session("packed", &set);
    let file = fs::OpenOptions::new().write(true).open(photos.packed()).unwrap();
    let byte = [whole[at as usize]];
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
    let reason = waits_for_data(&mut session);
    assert!(reason.starts_with("train/dog/07.jpg of "), "{reason}");
    assert!(reason.contains("it has changed since it was packed"), "{reason}");
    file.write_all_at(&byte, at).unwrap();
    assert!(session.retry_data());
    assert_eq!(hash(&finish(&mut session)), straight);
}

#[test]
fn what_cannot_be_streamed_is_refused_with_what_can() {
    let refused = |set: &[&str]| {
        let config = crate::support::small_config(set);
        data::load(&config.data, config.seed, &mut |_| {}).unwrap_err().to_string()
    };
    let text = refused(&["data.resident=stream"]);
    assert!(text.contains("data.resident = \"stream\"") && text.contains("packed"), "{text}");
    let text = refused(&["data.train_crop=random-resized"]);
    assert!(text.contains("random-resized") && text.contains("packed"), "{text}");
    for (set, part) in [
        (&["data.train_crop=random-resized", "data.resident=device"][..], "does not keep"),
        (&["data.train_crop=random-resized", "data.crop_padding=2"], "Set one of them only"),
        (&["data.eval_resize=20"], "smaller than data.image_size"),
        (&["data.eval_resize=80"], "data.eval_resize needs images that are streamed"),
        (&["data.normalize=imagenet"], "is for three channels"),
    ] {
        let text = refused(set);
        assert!(text.contains(part), "{set:?}: {text}");
    }
}

#[test]
fn the_mean_is_never_taken_of_less_than_it_should_be() {
    let photos = Photos::new();
    let path = photos.folder().join("train/dog/07.jpg");
    let config = crate::support::small_config(&[
        "data.source=folder",
        &format!("data.path={}", photos.folder().display()),
        "data.resident=stream",
        "data.image_size=16",
        "data.train_limit=0",
        "data.imbalance=1.0",
    ]);
    let load = || data::load(&config.data, 1, &mut |_| {}).map_err(|e| e.to_string());
    let whole = load().unwrap().mean_std();
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let refused = load().unwrap_err();
    assert!(refused.starts_with("train/dog/07.jpg of ") && refused.contains("cut"), "{refused}");
    fs::write(&path, &bytes).unwrap();
    assert_eq!(load().unwrap().mean_std(), whole);
}

#[test]
fn an_image_without_pixels_is_refused() {
    let photos = Photos::new();
    fs::write(photos.folder().join("train/cat/99.ppm"), b"P6\n0 5\n255\n").unwrap();
    let refused = photos.pack("x.tar", Packing::default()).unwrap_err();
    assert!(refused.contains("train/cat/99.ppm: it has no pixels"), "{refused}");
}

#[test]
fn a_folder_whose_files_were_replaced_is_other_data_though_names_and_lengths_are_the_same() {
    let photos = Photos::new();
    let mut session = photos.session("folder", &["data.resident=stream"]);
    session.advance();
    let checkpoint = session.checkpoint();
    let path = photos.folder().join("train/cat/00.png");
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 9;
    bytes[last] ^= 1; // of a checksum
    fs::write(&path, bytes).unwrap();
    let config = &checkpoint.state.config;
    let mut changed = config.data.clone();
    changed.normalize = data::Normalize::Imagenet; // which reads none of them
    let dataset = data::load(&changed, config.seed, &mut |_| {}).unwrap();
    let device = DeviceName::LibtorchCpu.open_with(CudaMath::default()).unwrap();
    let refused = Session::restore(&checkpoint, dataset, &device, "cpu").unwrap_err().to_string();
    assert!(refused.contains("the data is not what this run trained on"), "{refused}");
}

#[test]
fn what_auto_became_stays_so_for_a_run_and_for_what_is_forked_from_it() {
    use earlybird::data::Resident::{Auto, Device, Stream};
    let photos = Photos::new();
    for (set, became) in [("data.resident=stream", Stream), ("data.resident=device", Device)] {
        let mut session = photos.session("folder", &[set]);
        session.advance();
        let was = session.checkpoint().state.data.expect("its data");
        assert_eq!((was.resident(Auto), was.resident(Stream)), (became, Stream));
        let other = if became == Stream { Device } else { Stream };
        let mut config = session.config().data.clone();
        config.resident = other;
        let now = data::Identity::of(&data::load(&config, 1, &mut |_| {}).unwrap());
        let told = was.differences(&now).join("; ");
        assert!(told.contains("its images were") && told.contains("data.resident"), "{told}");
    }
}
