//! Results that are accounted in the pool of memory for as long as somebody holds them.

use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::array::{Array, ArrayData, ArrayRef, make_array};
use datafusion::arrow::buffer::Buffer;
use datafusion::common::Result;
use datafusion::execution::memory_pool::MemoryReservation;

/// What takes less is not accounted: it is what a batch of short texts takes, and to have texts owned otherwise is to read them all again.
pub(super) const HELD_MIN_BYTES: usize = 512 << 10;

/// A buffer with its part of a reservation, which is freed with the last of the buffers.
struct Held {
    buffer: Buffer,
    _reservation: Arc<MemoryReservation>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

/// The same array, whose own buffers take their bytes from `reservation` until the last of them is dropped. Buffers that others hold, too, are theirs.
///
/// # Errors
/// Those of the pool where the array takes more than what is reserved.
pub(super) fn hold(array: ArrayRef, reservation: MemoryReservation) -> Result<ArrayRef> {
    if array.get_buffer_memory_size() < HELD_MIN_BYTES {
        return Ok(array);
    }
    let data = array.to_data();
    // From here on whatever is counted once is held by nobody else.
    drop(array);
    let own = own_bytes(&data);
    if own < HELD_MIN_BYTES {
        return Ok(make_array(data));
    }
    reservation.try_resize(own)?;
    Ok(make_array(with_reservation(&data, &Arc::new(reservation))?))
}

fn is_own(buffer: &Buffer) -> bool {
    buffer.strong_count() == 1
}

fn own_bytes(data: &ArrayData) -> usize {
    let buffers: usize = data.buffers().iter().filter(|buffer| is_own(buffer)).map(Buffer::capacity).sum();
    buffers + data.child_data().iter().map(own_bytes).sum::<usize>()
}

fn with_reservation(data: &ArrayData, reservation: &Arc<MemoryReservation>) -> Result<ArrayData> {
    let hold = |buffer: &Buffer| match is_own(buffer) {
        true => {
            let held = Held { buffer: buffer.clone(), _reservation: Arc::clone(reservation) };
            Buffer::from(Bytes::from_owner(held))
        }
        false => buffer.clone(),
    };
    let buffers = data.buffers().iter().map(hold).collect();
    let children = data.child_data().iter().map(|child| with_reservation(child, reservation));
    let children = children.collect::<Result<Vec<_>>>()?;
    Ok(data.clone().into_builder().buffers(buffers).child_data(children).build()?)
}
