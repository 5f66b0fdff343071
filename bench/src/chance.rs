//! Numbers that look random and are the same each time.

/// A xorshift generator, whose state is not zero.
pub struct Chance(u64);

impl Chance {
    /// One for each seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// From 0 on, and below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        (self.draw() >> 33) % limit
    }

    /// From 0 on, and below 1.
    pub fn fraction(&mut self) -> f64 {
        (self.draw() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_is_the_same_in_every_run_and_another_for_each_connection() {
        let drawn = |seed| {
            let mut chance = Chance::new(seed);
            [(); 100].map(|()| chance.fraction())
        };
        assert_eq!(drawn(3), drawn(3));
        assert_ne!(drawn(3), drawn(4));
        for seed in 0..9 {
            let drawn = drawn(seed);
            let mean = drawn.iter().sum::<f64>() / 100.0;
            assert!(drawn.iter().all(|x| (0.0..1.0).contains(x)) && (0.4..0.6).contains(&mean), "{seed}: {mean}");
        }
    }
}
