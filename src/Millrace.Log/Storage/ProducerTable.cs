using Millrace.Kafka.Messages;
using Millrace.Kafka.Records;

namespace Millrace.Log.Storage;

/// <summary>One batch that a producer has appended.</summary>
internal readonly record struct ProducedBatch(int FirstSequence, int LastSequence, long BaseOffset, long LastOffset, long Timestamp, short Epoch);

/// <summary>
/// What a partition knows of its idempotent producers (KIP-98): the last five durable batches of each and those still on their way.
/// Everything follows from the batches, so a failed write is taken back by dropping them, and a snapshot holds only durable ones.
/// Guarded by the partition's lock.
/// </summary>
internal sealed class ProducerTable
{
    /// <summary>Batches kept of each producer: as many as a client may have in flight.</summary>
    public const int Window = 5;

    private readonly Dictionary<long, List<ProducedBatch>> _producers = [];
    private readonly Dictionary<long, (long LastOffset, long Since)> _idle = [];

    public LogFaults Faults { get; set; } = LogFaults.None;

    public int Count => _producers.Count;

    public IReadOnlyDictionary<long, List<ProducedBatch>> Producers => _producers;

    /// <summary>What to do with a batch of a producer.</summary>
    /// <param name="batch">Has a producer id.</param>
    /// <param name="original">The first append of the same batch, when the answer is <see cref="ErrorCode.DuplicateSequenceNumber"/>.</param>
    public ErrorCode Check(RecordBatch batch, out ProducedBatch original)
    {
        original = default;
        if (!_producers.TryGetValue(batch.ProducerId, out var batches))
            return ErrorCode.None;
        var last = batches[^1];
        if (batch.ProducerEpoch < last.Epoch)
            return ErrorCode.InvalidProducerEpoch;
        // The broker's own transactional batches carry no sequence.
        if (batch.BaseSequence < 0)
            return ErrorCode.None;
        if (batch.ProducerEpoch > last.Epoch)
            return batch.BaseSequence == 0 ? ErrorCode.None : ErrorCode.OutOfOrderSequenceNumber;
        var lastSequence = Advance(batch.BaseSequence, batch.LastOffsetDelta);
        for (var i = batches.Count - 1; i >= 0; i--)
        {
            var known = batches[i];
            if (known.Epoch == batch.ProducerEpoch && known.FirstSequence == batch.BaseSequence && known.LastSequence == lastSequence)
            {
                original = known;
                return ErrorCode.DuplicateSequenceNumber;
            }
        }
        // An epoch that only a fencing marker has used leaves no sequence behind: whatever comes next begins the count.
        return last.LastSequence < 0 || batch.BaseSequence == Advance(last.LastSequence, 1)
            ? ErrorCode.None
            : ErrorCode.OutOfOrderSequenceNumber;
    }

    /// <summary>Notes a batch that gets its place in the log.</summary>
    /// <param name="batch">Has a producer id.</param>
    /// <param name="baseOffset">Its offset.</param>
    /// <param name="timestamp">For those who ask.</param>
    /// <param name="durableEnd">Batches before this offset are durable; five of them are kept.</param>
    public void Note(RecordBatch batch, long baseOffset, long timestamp, long durableEnd)
    {
        if (!_producers.TryGetValue(batch.ProducerId, out var batches))
            _producers[batch.ProducerId] = batches = new List<ProducedBatch>(Window + 1);
        var hasSequence = !batch.IsControl && batch.BaseSequence >= 0;
        // A batch without sequence says nothing new unless it brings a new epoch; it must not push real ones out of the window.
        if (!hasSequence && batches.Count > 0 && batches[^1].Epoch == batch.ProducerEpoch)
            return;
        var sequence = hasSequence ? batch.BaseSequence : -1;
        var lastSequence = hasSequence ? Advance(batch.BaseSequence, batch.LastOffsetDelta) : -1;
        batches.Add(new ProducedBatch(sequence, lastSequence, baseOffset, baseOffset + batch.LastOffsetDelta, timestamp, batch.ProducerEpoch));
        while (Faults.ShortWindow && batches.Count > 1)
            batches.RemoveAt(0);
        while (batches.Count > Window && batches[Window].BaseOffset < durableEnd)
            batches.RemoveAt(0);
    }

    /// <summary>Whether a batch is one of those by which its producer's next is judged.</summary>
    public bool Remembers(long producerId, long baseOffset) =>
        _producers.TryGetValue(producerId, out var batches) && batches.Exists(b => b.BaseOffset == baseOffset);

    /// <summary>Puts a producer back as a snapshot had it.</summary>
    public void Restore(long producerId, List<ProducedBatch> batches) => _producers[producerId] = batches;

    /// <summary>Forgets batches from an offset on, which were not written after all.</summary>
    public void TakeBack(long fromOffset)
    {
        List<long>? empty = null;
        foreach (var (producerId, batches) in _producers)
        {
            batches.RemoveAll(b => b.BaseOffset >= fromOffset);
            if (batches.Count == 0)
                (empty ??= []).Add(producerId);
        }
        foreach (var producerId in empty ?? [])
            Forget(producerId);
    }

    /// <summary>
    /// Forgets producers whose last batch has been the last one for so long. Counted from call to call by a clock that does not jump: the times
    /// in batches are of clocks that can be set, and of clients.
    /// </summary>
    public void Expire(long steady, long idleMillis, Func<long, bool> isBusy)
    {
        List<long>? old = null;
        foreach (var (producerId, batches) in _producers)
        {
            var last = batches[^1].BaseOffset;
            if (!_idle.TryGetValue(producerId, out var seen) || seen.LastOffset != last)
                _idle[producerId] = (last, steady);
            else if (steady - seen.Since > idleMillis && !isBusy(producerId))
                (old ??= []).Add(producerId);
        }
        foreach (var producerId in old ?? [])
            Forget(producerId);
    }

    private void Forget(long producerId)
    {
        _producers.Remove(producerId);
        _idle.Remove(producerId);
    }

    /// <summary>Sequences run from 0 to 2^31-1 and begin again at 0.</summary>
    public static int Advance(int sequence, int by) => (int)(((long)sequence + by) & int.MaxValue);
}
