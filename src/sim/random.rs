//! Random numbers that are the same for ever.

/// Generator number 1: SplitMix64, from which numbers below a limit are taken by multiplication.
///
/// docs/simulator.md writes down in which order a sim draws; tests pin both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generator(u64);

/// The number of the algorithm, which is told by `--stream random`.
pub const ALGORITHM: u32 = 1;

impl Generator {
    /// Begins at a seed.
    pub fn new(seed: i64) -> Self {
        Self(seed.cast_unsigned())
    }

    /// As it was when [`state`](Self::state) was taken.
    pub fn at(state: u64) -> Self {
        Self(state)
    }

    /// Where it is.
    pub fn state(&self) -> u64 {
        self.0
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `limit`; 0 where that is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        // The high half: even to one part in 2^64 / limit.
        ((u128::from(self.bits()) * u128::from(limit)) >> 64) as u64
    }

    /// A place in a list of `len` things.
    pub fn place(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }
}

/// Scatters the bits of a number.
pub fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first numbers of SplitMix64 from 0 and from 1234567, as its authors publish them.
    #[test]
    fn the_generator_is_pinned() {
        let first = |seed| {
            let mut generator = Generator::new(seed);
            [generator.bits(), generator.bits(), generator.bits()]
        };
        assert_eq!(first(0), [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f]);
        assert_eq!(first(1_234_567), [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
        let mut generator = Generator::new(-1);
        let places = [8, 7, 6, 5, 4, 3, 2, 1000].map(|len| generator.place(len));
        assert_eq!(places, [7, 6, 1, 2, 2, 2, 1, 251], "places are pinned");
        assert_eq!(generator.below(0), 0);
    }
}
