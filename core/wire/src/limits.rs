//! Every bound on what comes from outside, in one place. Sizes are bytes unless the name says otherwise.

/// One frame on any stream, its four length bytes not counted. Protocols may ask for less.
pub const FRAME_MAX: usize = 64 * 1024;
/// A record of the global index (BEP 44 allows 1,000; we keep one UDP packet). The largest has 573.
pub const RECORD_MAX: usize = 600;
/// A sealed envelope that waits at a home supernode. The largest card (16 devices, 64 changes, every name as long as
/// allowed) with the longest text fits.
pub const ENVELOPE_MAX: usize = 26 * 1024;
/// Entries of an account's chain.
pub const CHAIN_ENTRIES_MAX: usize = 64;
/// How often an account's recovery key may name another signing key.
pub const RECOVERIES_MAX: u16 = 0x7fff;
/// The highest number of an account's record: with the number of recoveries in front it fits a database's integer.
pub const SEQUENCE_MAX: u64 = (1 << 48) - 1;
/// What a device shows in a group of whose it is. The largest has 478.
pub const CREDENTIAL_MAX: usize = 512;
/// Devices of one account.
pub const DEVICES_MAX: usize = 16;
/// Supernodes named in a link, a record or a card.
pub const SUPERNODES_MAX: usize = 3;
/// A device's name, in bytes of UTF-8.
pub const DEVICE_NAME_MAX: usize = 64;
/// A display name, in bytes of UTF-8.
pub const NAME_MAX: usize = 128;
/// The name of a list of contacts, in bytes of UTF-8.
pub const LIST_NAME_MAX: usize = 64;
/// Lists one contact may be in.
pub const LISTS_MAX: usize = 32;
/// A note about a contact, in bytes of UTF-8.
pub const NOTE_MAX: usize = 4 * 1024;
/// The message that goes with a contact request.
pub const REQUEST_TEXT_MAX: usize = 1_000;
/// One chat message.
pub const CHAT_TEXT_MAX: usize = 16 * 1024;
/// The plaintext of one message: with what seals it, it fits an entry of 64 KiB.
pub const CONTENT_MAX: usize = 62 * 1024;
/// Messages that one message names as those its author had seen.
pub const PREDECESSORS_MAX: usize = 8;
/// Messages that one message says are on its author's disk.
pub const RECEIVED_MAX: usize = 64;
/// Entries in one request to say again what was in them.
pub const AGAIN_MAX: usize = 32;
/// A long message, put together from its parts.
pub const LONG_MAX: usize = 1024 * 1024;
/// One part of it.
pub const PART_MAX: usize = 60 * 1024;
/// As many parts make the longest.
pub const PARTS_MAX: usize = LONG_MAX.div_ceil(PART_MAX);
/// A text in a message, or a recording, in bytes.
pub const TEXT_MAX: usize = LONG_MAX - 4 * 1024;
/// People named in one text.
pub const MENTIONS_MAX: usize = 64;
/// One emoji, in bytes of UTF-8.
pub const EMOJI_MAX: usize = 64;
/// A recording, in milliseconds: ten minutes.
pub const VOICE_MS_MAX: u32 = 10 * 60 * 1_000;
/// A picture's preview.
pub const PREVIEW_MAX: usize = 16 * 1024;
/// What stands below a picture, in bytes of UTF-8.
pub const CAPTION_MAX: usize = 1_000;
/// Message ids in one receipt.
pub const RECEIPT_IDS_MAX: usize = 1_000;
/// A file's name as offered by a peer.
pub const FILE_NAME_MAX: usize = 255;
/// A file's size: 1 TiB.
pub const FILE_SIZE_MAX: u64 = 1 << 40;
/// A `starling:` link, in characters.
pub const LINK_MAX: usize = 512;
/// A network file.
pub const NETWORK_FILE_MAX: usize = 64 * 1024;
/// Sound formats offered in one invitation.
pub const MEDIA_OFFERS_MAX: usize = 8;
/// The payload of one media packet.
pub const MEDIA_PAYLOAD_MAX: usize = 1_000;
/// Unanswered contact requests kept; a flood of strangers cannot fill the disk.
pub const REQUESTS_MAX: usize = 100;
/// Ids in one watch list: the states of all of them fit one answer. Who watches more sends several lists.
pub const WATCH_MAX: usize = 200;
/// Watch lists of one device at one supernode.
pub const WATCH_LISTS_MAX: u8 = 10;
/// Watch lists a supernode keeps.
pub const WATCHERS_MAX: usize = 20_000;
/// Ids in all watch lists of a supernode together. A list of [`WATCH_SHORT`] is taken beyond it.
pub const WATCHED_MAX: usize = 200_000;
/// A list that is short enough to be taken as long as there is room for another one.
pub const WATCH_SHORT: usize = 20;
/// Ids of those that may see a device's presence, and of contacts that may not, together.
pub const GRANTED_TO_MAX: usize = 2_400;
/// Ids of all devices of a supernode together. A list of [`WATCH_SHORT`] is taken beyond it.
pub const GRANTED_MAX: usize = 400_000;
/// Devices whose state a supernode keeps.
pub const STATES_MAX: usize = 20_000;
/// What a person says about himself, in bytes of UTF-8.
pub const MOOD_MAX: usize = 128;
/// A text about a person, in characters.
pub const ABOUT_CHARS_MAX: usize = 500;
/// The same, in bytes of UTF-8.
pub const ABOUT_MAX: usize = 4 * ABOUT_CHARS_MAX;
/// A person's picture.
pub const PICTURE_MAX: usize = 16 * 1024;
/// Its width and its height, in pixels.
pub const PICTURE_EDGE_MAX: u32 = 256;
/// States told in one notice.
pub const SIGHTINGS_MAX: usize = 16;
/// Accounts a supernode keeps records for.
pub const ACCOUNTS_MAX: usize = 20_000;
/// Envelopes of contacts that a supernode keeps for one account.
pub const DEPOSITS_PER_ACCOUNT_MAX: usize = 100;
/// Envelopes of strangers that it keeps besides.
pub const STRANGERS_PER_ACCOUNT_MAX: usize = 50;
/// Envelopes in one answer.
pub const DEPOSITS_TOLD_MAX: usize = DEPOSITS_PER_ACCOUNT_MAX + STRANGERS_PER_ACCOUNT_MAX;
/// Bytes of an account's envelopes from contacts together, and again of those from strangers.
pub const DEPOSIT_BYTES_PER_ACCOUNT_MAX: usize = 800 * 1024;
/// Seconds a supernode keeps an envelope, and an account whose record has expired while envelopes wait: 30 days.
pub const DEPOSIT_TTL_S: u64 = 30 * 24 * 3600;
/// Bytes of all rescue copies that a supernode keeps.
pub const RESCUE_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Seconds a supernode keeps a rescue copy that was not renewed: 400 days.
pub const RESCUE_TTL_S: u64 = 400 * 24 * 3600;
/// Seconds a record stays valid after it was signed: 7 days.
pub const RECORD_TTL_S: u64 = 7 * 24 * 3600;
/// Direct addresses of one endpoint that are told to a contact.
pub const ADDRESSES_MAX: usize = 32;
