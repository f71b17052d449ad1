using Millrace.Kafka.Messages;

namespace Millrace.Log.Storage;

/// <summary>Told when what it appended is durable, or will never be. Called on the committer's thread: hand over, do not work.</summary>
internal interface IAppendWaiter
{
    /// <param name="slot">As given to the append.</param>
    /// <param name="error"><see cref="ErrorCode.None"/> when durable.</param>
    void Appended(int slot, ErrorCode error);
}

/// <summary>Collects what a group's acknowledgements make ready, on the committer's thread.</summary>
internal interface IAnswers
{
    /// <summary>Acknowledgements follow.</summary>
    void Gather();

    /// <summary>They were all.</summary>
    /// <param name="here">Nothing else waits for this thread: it may do a little of the sending.</param>
    void Send(bool here);
}

/// <summary>Told when a partition has more to read, or has gone.</summary>
internal interface IReadWaiter
{
    void Readable();
}

/// <summary>What a control batch says about its producer's transaction.</summary>
internal enum Marker : byte
{
    None,
    Abort,
    Commit,
}

/// <summary>
/// A batch that has its offset and waits for the next flush. Without bytes it only waits: a duplicate whose original is not durable yet.
/// </summary>
/// <param name="Bytes">Owned by the waiter until it is told.</param>
/// <param name="BaseOffset">Its first offset.</param>
/// <param name="LastOffset">Its last offset.</param>
/// <param name="MaxTimestamp">Its largest timestamp.</param>
/// <param name="ProducerId">For markers.</param>
/// <param name="Marker">What it ends.</param>
/// <param name="Waiter">Told of the outcome; null when nobody asks.</param>
/// <param name="Slot">Given back to the waiter.</param>
internal readonly record struct PendingBatch(
    ReadOnlyMemory<byte> Bytes, long BaseOffset, long LastOffset, long MaxTimestamp, long ProducerId, Marker Marker, IAppendWaiter? Waiter, int Slot);
