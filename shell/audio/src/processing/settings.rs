//! What is wanted of the processing: a switch and a level for each part.

/// Of one microphone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settings {
    /// The speaker's sound in the microphone.
    pub echo: Echo,
    /// What goes on all the time.
    pub noise: Noise,
    /// How loud it is.
    pub gain: Gain,
}

/// How echo is removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Echo {
    /// Not at all.
    Off,
    /// So that both can speak at once.
    #[default]
    On,
    /// So that less is left of it, at the cost of words spoken into it.
    Strong,
}

/// By how much noise is suppressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Noise {
    /// Not at all.
    Off,
    /// 6 dB.
    Low,
    /// 12 dB.
    #[default]
    Medium,
    /// 18 dB.
    High,
}

/// How the voice is brought to a level.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Gain {
    /// As it is.
    Off,
    /// By what the voice needs.
    #[default]
    Automatic,
    /// By so many decibels, [`Gain::MOST`] at most.
    Fixed(u8),
}

impl Settings {
    /// Nothing is done.
    pub const OFF: Self = Self {
        echo: Echo::Off,
        noise: Noise::Off,
        gain: Gain::Off,
    };
}

impl Gain {
    /// The most that can be asked for, in decibels.
    pub const MOST: u8 = 30;
}
