using System.Buffers.Binary;
using Millrace.Kafka.Records;

namespace Millrace.Log.Storage;

/// <summary>
/// The transactions of one partition: the open ones, which bound the last stable offset, and the aborted ones, which read_committed
/// readers leave out. Guarded by the partition's lock.
/// </summary>
internal sealed class TransactionIndex
{
    private readonly Dictionary<long, long> _open = [];
    /// <summary>In order of their markers.</summary>
    private readonly List<AbortedRange> _aborted = [];
    private long _longest;

    /// <summary>The first record of the oldest open transaction.</summary>
    public long? FirstOpenOffset
    {
        get
        {
            if (_open.Count == 0)
                return null;
            var first = long.MaxValue;
            foreach (var offset in _open.Values)
                first = Math.Min(first, offset);
            return first;
        }
    }

    public bool IsOpen(long producerId) => _open.ContainsKey(producerId);

    public long? FirstOffsetOf(long producerId) => _open.TryGetValue(producerId, out var offset) ? offset : null;

    public void Open(long producerId, long offset) => _open.TryAdd(producerId, offset);

    /// <summary>A marker at an offset ends the producer's transaction.</summary>
    public void Close(long producerId, long markerOffset, bool aborted)
    {
        if (!_open.Remove(producerId, out var first) || !aborted)
            return;
        _aborted.Add(new AbortedRange { ProducerId = producerId, FirstOffset = first, LastOffset = markerOffset });
        _longest = Math.Max(_longest, markerOffset - first);
    }

    /// <summary>All that overlap [from, to), also those begun before it.</summary>
    public List<AbortedRange> AbortedIn(long from, long to)
    {
        int low = 0, high = _aborted.Count;
        while (low < high)
        {
            var middle = (low + high) >>> 1;
            if (_aborted[middle].LastOffset < from)
                low = middle + 1;
            else
                high = middle;
        }
        var found = new List<AbortedRange>();
        // No transaction is longer than the longest: one whose marker stands further behind cannot have begun before the end.
        for (; low < _aborted.Count && _aborted[low].LastOffset - _longest < to; low++)
        {
            if (_aborted[low].FirstOffset < to)
                found.Add(_aborted[low]);
        }
        return found;
    }

    public void ForgetBefore(long offset) => _aborted.RemoveAll(a => a.LastOffset < offset);

    public void TakeBack(long fromOffset)
    {
        foreach (var (producerId, offset) in new List<KeyValuePair<long, long>>(_open))
        {
            if (offset >= fromOffset)
                _open.Remove(producerId);
        }
    }

    public void Restore(List<OpenTransaction> open, List<AbortedRange> aborted)
    {
        foreach (var transaction in open)
            _open[transaction.ProducerId] = transaction.FirstOffset;
        _aborted.AddRange(aborted);
        foreach (var range in aborted)
            _longest = Math.Max(_longest, range.LastOffset - range.FirstOffset);
    }

    public void Describe(long before, List<OpenTransaction> open, List<AbortedRange> aborted)
    {
        foreach (var (producerId, offset) in _open)
        {
            if (offset < before)
                open.Add(new OpenTransaction { ProducerId = producerId, FirstOffset = offset });
        }
        aborted.AddRange(_aborted);
    }
}

/// <summary>The one record of a control batch: its key is version 0 and a type, 0 to abort, 1 to commit (KIP-98).</summary>
internal static class ControlRecord
{
    public static Marker MarkerOf(RecordBatch batch)
    {
        var reader = new RecordReader(batch.Records, batch.RecordCount);
        if (!reader.MoveNext() || reader.Current.Key.Length < 4)
            return Marker.None;
        return BinaryPrimitives.ReadInt16BigEndian(reader.Current.Key[2..]) switch
        {
            0 => Marker.Abort,
            1 => Marker.Commit,
            _ => Marker.None,
        };
    }

    /// <summary>A marker's batch; the broker sets its offset when it is appended.</summary>
    public static byte[] Build(long producerId, short producerEpoch, bool commit, int coordinatorEpoch, long timestamp)
    {
        Span<byte> key = stackalloc byte[4];
        BinaryPrimitives.WriteInt16BigEndian(key[2..], commit ? (short)1 : (short)0);
        Span<byte> value = stackalloc byte[6];
        value.Clear();
        BinaryPrimitives.WriteInt32BigEndian(value[2..], coordinatorEpoch);
        key[..2].Clear();
        using var builder = new RecordBatchBuilder
        {
            ProducerId = producerId,
            ProducerEpoch = producerEpoch,
            Attributes = BatchAttributes.Transactional | BatchAttributes.Control,
        };
        builder.Add(timestamp, key, value);
        return builder.Build();
    }
}
