namespace Millrace.Streams.Sinks;

/// <summary>Says whose records these are: a delivery's mark stands in each record's header <c>millrace.delivery</c>.</summary>
/// <param name="Pipeline">The pipeline's name.</param>
/// <param name="Incarnation">Which state of that name.</param>
/// <param name="Checkpoint">The checkpoint that owes the records.</param>
internal readonly record struct DeliveryMark(string Pipeline, string Incarnation, long Checkpoint)
{
    public const string Header = "millrace.delivery";

    /// <summary>The header's text up to the record's sequence.</summary>
    public string Prefix => $"{Pipeline}:{Incarnation}:{Checkpoint}:";
}

/// <summary>A topic to write to, as <see cref="TopicDelivery"/> needs it. Calls come one at a time.</summary>
internal interface ITopicPort : IDisposable
{
    /// <summary>The offset behind the last record, per partition. Makes the topic when it is missing and that is allowed.</summary>
    /// <exception cref="TopicUnreachableException">It cannot be told now.</exception>
    IReadOnlyDictionary<int, long> Ends(CancellationToken cancellation);

    /// <summary>The sequences of a delivery's records that stand at or behind <paramref name="from"/> (absent partitions: from the start).</summary>
    /// <exception cref="TopicUnreachableException">The topic cannot be read now.</exception>
    IReadOnlySet<int> Scan(DeliveryMark mark, IReadOnlyDictionary<int, long> from, CancellationToken cancellation);

    /// <summary>
    /// Sends the records of which <paramref name="skip"/> does not know the sequence, and waits until each is acknowledged by all replicas or
    /// failed. The ends of what was acknowledged are noted in <paramref name="acknowledged"/> also when some failed.
    /// </summary>
    /// <param name="refused">Takes the records that the topic will never take, which then are not in it; null: a value that is too large is sent cut.</param>
    /// <exception cref="TopicUnreachableException">Some records were not acknowledged: they may be in the topic or not.</exception>
    Task SendAsync(
        DeliveryMark mark, ReadOnlyMemory<byte> records, IReadOnlySet<int> skip, IDictionary<int, long> acknowledged, ICollection<RefusedRecord>? refused,
        CancellationToken cancellation);

    /// <summary>Sends those of the records that another topic refused, each with the reason, under the sequences that they have there.</summary>
    /// <exception cref="TopicUnreachableException">Some records were not acknowledged: they may be in the topic or not.</exception>
    Task SendDeadAsync(DeliveryMark mark, ReadOnlyMemory<byte> records, IReadOnlyCollection<RefusedRecord> refused, CancellationToken cancellation);
}

/// <param name="Sequence">The record's index among those owed.</param>
/// <param name="Reason">What the topic says.</param>
internal sealed record RefusedRecord(int Sequence, string Topic, string Reason);

/// <summary>A topic cannot be reached now; trying again later may help.</summary>
internal sealed class TopicUnreachableException(string message, Exception? inner = null) : Exception(message, inner);
