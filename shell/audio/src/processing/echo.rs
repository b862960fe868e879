//! The canceller: WebRTC's AEC3, which works on blocks of 4 ms. It finds the delay, models the way from speaker to
//! microphone, subtracts what it expects and suppresses what is left.

use sonora_aec3::block::Block;
use sonora_aec3::block_framer::BlockFramer;
use sonora_aec3::block_processor::BlockProcessor;
use sonora_aec3::frame_blocker::FrameBlocker;

use super::bands::{BAND_STEP, BANDS, Bands, Bank, STEP};
use super::settings::Echo;
use super::tuning;

/// Half a step of a band is what becomes blocks.
const HALF: usize = BAND_STEP / 2;

/// For one microphone and one speaker.
#[derive(Debug)]
pub(super) struct Canceller {
    bank: Bank,
    far: Blocks,
    near: Blocks,
    framer: BlockFramer,
    processor: BlockProcessor,
    /// By band, channel and sample, as the framer wants it.
    out: Vec<Vec<Vec<f32>>>,
}

/// Makes blocks of steps: two or three of each.
#[derive(Debug)]
struct Blocks {
    blocker: FrameBlocker,
    block: Block,
}

impl Canceller {
    pub(super) fn new(echo: Echo) -> Option<Self> {
        let config = tuning::config(echo)?;
        Some(Self {
            bank: Bank::default(),
            far: Blocks::new(),
            near: Blocks::new(),
            framer: BlockFramer::new(BANDS, 1),
            processor: BlockProcessor::new(&config, 48_000, 1, 1),
            out: vec![vec![vec![0.0; HALF]]; BANDS],
        })
    }

    /// What is played.
    pub(super) fn far_end(&mut self, step: &[f32; STEP]) {
        let bands = self.bank.split(step);
        for half in 0..2 {
            let block = self.far.take(&bands, half);
            self.processor.buffer_render(block);
        }
        if let Some(block) = self.far.rest() {
            self.processor.buffer_render(block);
        }
    }

    /// What was taken, without echo.
    pub(super) fn near_end(&mut self, bands: &mut Bands, overdriven: bool) {
        for half in 0..2 {
            let block = self.near.take(bands, half);
            self.processor
                .process_capture(false, overdriven, None, block);
            self.framer
                .insert_block_and_extract_sub_frame(block, &mut self.out);
            for (band, done) in bands.iter_mut().zip(&self.out) {
                band[half * HALF..][..HALF].copy_from_slice(&done[0]);
            }
        }
        if let Some(block) = self.near.rest() {
            self.processor
                .process_capture(false, overdriven, None, block);
            self.framer.insert_block(block);
        }
    }
}

impl Blocks {
    fn new() -> Self {
        Self {
            blocker: FrameBlocker::new(BANDS, 1),
            block: Block::new(BANDS, 1),
        }
    }

    fn take(&mut self, bands: &Bands, half: usize) -> &mut Block {
        let parts = bands
            .iter()
            .map(|band| vec![&band[half * HALF..][..HALF]])
            .collect::<Vec<_>>();
        self.blocker
            .insert_sub_frame_and_extract_block(&parts, &mut self.block);
        &mut self.block
    }

    /// After two halves, if so much is left over.
    fn rest(&mut self) -> Option<&mut Block> {
        if !self.blocker.is_block_available() {
            return None;
        }
        self.blocker.extract_block(&mut self.block);
        Some(&mut self.block)
    }
}
