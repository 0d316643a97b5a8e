//! Renders landscapes from their names: hills under a sky, with one colour scheme per week.

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

const WIDTH: u16 = 640;
const HEIGHT: u16 = 480;
const LAYERS: u8 = 4;

/// One picture of the collection. A change upstream increments `version`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Picture {
    pub(crate) month: i8,
    pub(crate) day: i8,
    pub(crate) number: u8,
    pub(crate) version: u8,
}

type Rgb = [u8; 3];

impl Picture {
    pub(crate) fn file_name(self) -> String {
        format!("{:02}{:02}wallpaper-{}_1600.jpg", self.month, self.day, self.number)
    }

    pub(crate) fn url_path(self) -> String {
        format!("/photo-contest/2009/img/wallpaper/{}", self.file_name())
    }

    /// Deterministic: the same picture always gives the same bytes.
    pub(crate) fn jpeg(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, 80);
        encoder.set_sampling_factor(SamplingFactor::F_2_2);
        encoder
            .encode(self.paint().as_flattened(), WIDTH, HEIGHT, ColorType::Rgb)
            .expect("the buffer has this size, and writing to a vector does not fail");
        bytes
    }

    fn paint(self) -> Vec<Rgb> {
        let hue = self.hue();
        let (width, height) = (f32::from(WIDTH), f32::from(HEIGHT));
        let (sun_x, sun_y) =
            (width * (0.15 + 0.7 * self.chance(1)), height * (0.12 + 0.3 * self.chance(2)));
        let sun_radius = height * (0.05 + 0.07 * self.chance(3));
        let ridges: Vec<Vec<f32>> = (0..LAYERS).map(|layer| self.ridge(layer)).collect();

        let mut pixels = Vec::with_capacity(usize::from(WIDTH) * usize::from(HEIGHT));
        for y in (0..HEIGHT).map(f32::from) {
            let depth = y / height;
            let sky = colour(hue + 40.0 * depth, 0.55, 0.35 + 0.5 * depth);
            let start = pixels.len();
            pixels.resize(start + usize::from(WIDTH), sky);
            let row = &mut pixels[start..];

            let reach = sun_radius * sun_radius - (y - sun_y) * (y - sun_y);
            if 0.0 < reach {
                let sun = colour(hue + 150.0, 0.5, 0.88);
                row[column(sun_x - reach.sqrt())..column(sun_x + reach.sqrt())].fill(sun);
            }
            for (layer, ridge) in (0u8..).zip(&ridges) {
                let near = f32::from(layer) / f32::from(LAYERS);
                let hill = colour(hue + 70.0 - 50.0 * near, 0.45, 0.55 - 0.42 * near);
                for (pixel, top) in row.iter_mut().zip(ridge) {
                    if *top < y {
                        *pixel = hill;
                    }
                }
            }
        }
        pixels
    }

    /// The y coordinate of the top of a row of hills, for each column.
    fn ridge(self, layer: u8) -> Vec<f32> {
        let (salt, near) = (10 + 10 * layer, f32::from(layer) / f32::from(LAYERS));
        let base = f32::from(HEIGHT) * (0.5 + 0.42 * near);
        let waves: Vec<(f32, f32, f32)> = (0..3)
            .map(|wave| {
                let slope = 0.004 * f32::from(1 + 2 * wave) * (0.6 + self.chance(salt + wave));
                let size = 42.0 * (1.0 - 0.5 * near) / f32::from(1 + wave);
                (
                    slope,
                    size * (0.4 + self.chance(salt + wave + 3)),
                    6.3 * self.chance(salt + wave + 6),
                )
            })
            .collect();
        (0..WIDTH)
            .map(f32::from)
            .map(|x| {
                base + waves
                    .iter()
                    .map(|(slope, size, shift)| size * (x * slope + shift).sin())
                    .sum::<f32>()
            })
            .collect()
    }

    /// The hue in degrees: different weeks differ much, pictures of one week only a little.
    fn hue(self) -> f32 {
        let week = f32::from(self.month) * 31.0 + f32::from(self.day);
        let turn = if self.version == 1 { 0.0 } else { 180.0 };
        week * 21.0 + f32::from(self.number) * 3.0 + turn
    }

    /// A pseudo-random number from 0 to 1, determined by this picture and `salt`.
    fn chance(self, salt: u8) -> f32 {
        let name = [self.month.unsigned_abs(), self.day.unsigned_abs(), self.number, salt];
        let mut bits = u32::from_le_bytes(name);
        for _ in 0..3 {
            bits = (bits ^ (bits >> 16)).wrapping_mul(0x45d9_f3b5);
        }
        f32::from(u16::try_from(bits >> 16).unwrap_or(0)) / f32::from(u16::MAX)
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped before")]
fn column(x: f32) -> usize {
    x.clamp(0.0, f32::from(WIDTH)) as usize
}

/// A colour by hue (degrees), saturation and lightness.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 255")]
fn colour(hue: f32, saturation: f32, lightness: f32) -> Rgb {
    let reach = saturation * lightness.min(1.0 - lightness);
    [0.0, 8.0, 4.0].map(|offset: f32| {
        let k = (offset + hue / 30.0).rem_euclid(12.0);
        let value = lightness - reach * (k - 3.0).min(9.0 - k).clamp(-1.0, 1.0);
        (value.clamp(0.0, 1.0) * 255.0) as u8
    })
}
