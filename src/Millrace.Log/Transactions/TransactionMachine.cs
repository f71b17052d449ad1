using Millrace.Kafka.Messages;

namespace Millrace.Log.Transactions;

/// <summary>States of a transaction, by Kafka's numbers and names.</summary>
internal enum TransactionState : sbyte
{
    Empty = 0,
    Ongoing = 1,
    PrepareCommit = 2,
    PrepareAbort = 3,
    CompleteCommit = 4,
    CompleteAbort = 5,
}

/// <summary>What is to be done next after a request to the machine.</summary>
internal enum TransactionStep
{
    /// <summary>Answer; nothing has changed.</summary>
    Answer,

    /// <summary>Write the state, then answer.</summary>
    Persist,

    /// <summary>Write the prepared state and the markers, as one; then answer, and note the completed state.</summary>
    Finish,
}

/// <param name="Error">For the client.</param>
/// <param name="Step">Before the client is answered.</param>
internal readonly record struct TransactionOutcome(ErrorCode Error, TransactionStep Step);

/// <summary>
/// One transactional id as a pure machine (KIP-98, KIP-360): time comes in, what to write comes out. Not thread-safe; the shell holds the
/// lock, and between <see cref="TransactionStep.Persist"/> and its durability keeps <see cref="IsBusy"/> set.
/// </summary>
internal sealed class TransactionMachine(string transactionalId)
{
    /// <summary>The last epoch that a producer id may have; the next one is for fencing only.</summary>
    private const short LastEpoch = short.MaxValue - 1;

    private readonly HashSet<(string Topic, int Partition)> _partitions = [];

    public string TransactionalId { get; } = transactionalId;

    public TransactionState State { get; private set; }

    public long ProducerId { get; private set; } = -1;

    public short Epoch { get; private set; } = -1;

    /// <summary>What the producer had before its last bump: its retry of InitProducerId names it.</summary>
    public short PreviousEpoch { get; private set; } = -1;

    /// <summary>The id before this one, when the epochs were used up.</summary>
    public long PreviousProducerId { get; private set; } = -1;

    public int TimeoutMs { get; private set; }

    /// <summary>When the running transaction began, in milliseconds of Unix time; -1 without one.</summary>
    public long StartedAt { get; private set; } = -1;

    public long UpdatedAt { get; private set; }

    /// <summary>A change is being written; others must wait.</summary>
    public bool IsBusy { get; set; }

    /// <summary>The state in memory is ahead of what is written, because a write failed: the next step must write, even if it changes nothing.</summary>
    public bool IsUnwritten { get; set; }

    public IReadOnlyCollection<(string Topic, int Partition)> Partitions => _partitions;

    public bool IsPrepared => State is TransactionState.PrepareCommit or TransactionState.PrepareAbort;

    public bool IsCommit => State is TransactionState.PrepareCommit or TransactionState.CompleteCommit;

    /// <summary>A producer begins to use the id, or wants a new epoch after an error.</summary>
    /// <param name="timeoutMs">Of its transactions.</param>
    /// <param name="expectedId">The id that it has, -1 when it has none.</param>
    /// <param name="expectedEpoch">Likewise.</param>
    /// <param name="newProducerId">Asked for an id only when one is needed.</param>
    /// <param name="now">Milliseconds of Unix time.</param>
    public TransactionOutcome Init(int timeoutMs, long expectedId, short expectedEpoch, Func<long> newProducerId, long now)
    {
        if (IsBusy || IsPrepared)
            return new(ErrorCode.ConcurrentTransactions, TransactionStep.Answer);
        if (expectedId >= 0 && ProducerId >= 0 && expectedId != ProducerId && !(expectedId == PreviousProducerId && expectedEpoch == PreviousEpoch))
            return new(ErrorCode.ProducerFenced, TransactionStep.Answer);
        if (expectedId == ProducerId && expectedEpoch >= 0 && expectedEpoch != Epoch && expectedEpoch != PreviousEpoch)
            return new(ErrorCode.ProducerFenced, TransactionStep.Answer);
        if (State == TransactionState.Ongoing)
        {
            // The old self is fenced and its transaction aborted; the retry of this request then gets its own epoch.
            Fence();
            Prepare(TransactionState.PrepareAbort, now);
            return new(ErrorCode.ConcurrentTransactions, TransactionStep.Finish);
        }
        TimeoutMs = timeoutMs;
        UpdatedAt = now;
        if (expectedId >= 0 && expectedEpoch == PreviousEpoch && expectedEpoch != Epoch)
            return Settled();
        if (ProducerId < 0 || Epoch >= LastEpoch)
        {
            PreviousProducerId = ProducerId;
            PreviousEpoch = Epoch;
            ProducerId = newProducerId();
            Epoch = 0;
        }
        else
        {
            PreviousEpoch = expectedId >= 0 ? Epoch : (short)-1;
            Epoch++;
        }
        State = TransactionState.Empty;
        _partitions.Clear();
        StartedAt = -1;
        return new(ErrorCode.None, TransactionStep.Persist);
    }

    /// <summary>Partitions become part of the transaction, which begins with the first ones.</summary>
    public TransactionOutcome Add(long producerId, short epoch, IReadOnlyCollection<(string Topic, int Partition)> partitions, long now)
    {
        var error = Check(producerId, epoch);
        if (error != ErrorCode.None)
            return new(error, TransactionStep.Answer);
        if (IsPrepared)
            return new(ErrorCode.ConcurrentTransactions, TransactionStep.Answer);
        if (State == TransactionState.Ongoing && _partitions.IsSupersetOf(partitions))
            return Settled();
        if (State != TransactionState.Ongoing)
        {
            _partitions.Clear();
            StartedAt = now;
            State = TransactionState.Ongoing;
        }
        _partitions.UnionWith(partitions);
        UpdatedAt = now;
        return new(ErrorCode.None, TransactionStep.Persist);
    }

    /// <summary>The producer ends its transaction.</summary>
    public TransactionOutcome End(long producerId, short epoch, bool commit, long now)
    {
        var error = Check(producerId, epoch);
        if (error != ErrorCode.None)
            return new(error, TransactionStep.Answer);
        switch (State)
        {
            case TransactionState.Ongoing:
                Prepare(commit ? TransactionState.PrepareCommit : TransactionState.PrepareAbort, now);
                return new(ErrorCode.None, TransactionStep.Finish);
            case TransactionState.PrepareCommit or TransactionState.PrepareAbort when IsCommit == commit:
                // A restart or a failed write has left it half done.
                return new(ErrorCode.None, TransactionStep.Finish);
            case TransactionState.CompleteCommit or TransactionState.CompleteAbort when IsCommit == commit:
                return new(ErrorCode.None, TransactionStep.Answer);
            default:
                return new(ErrorCode.InvalidTxnState, TransactionStep.Answer);
        }
    }

    /// <summary>Whether a batch of the transaction may be appended to a partition now.</summary>
    public ErrorCode CheckAppend(long producerId, short epoch, (string Topic, int Partition) partition)
    {
        if (producerId != ProducerId)
            return ErrorCode.InvalidProducerIdMapping;
        if (epoch != Epoch)
            return ErrorCode.InvalidProducerEpoch;
        return State == TransactionState.Ongoing && _partitions.Contains(partition) ? ErrorCode.None : ErrorCode.InvalidTxnState;
    }

    /// <summary>Aborts a transaction that has run for longer than its timeout, and fences its producer.</summary>
    public TransactionOutcome Expire(long now)
    {
        if (IsBusy || State != TransactionState.Ongoing || now - StartedAt <= TimeoutMs)
            return new(ErrorCode.None, TransactionStep.Answer);
        Fence();
        Prepare(TransactionState.PrepareAbort, now);
        return new(ErrorCode.None, TransactionStep.Finish);
    }

    /// <summary>All markers are durable.</summary>
    public void Complete(long now)
    {
        State = IsCommit ? TransactionState.CompleteCommit : TransactionState.CompleteAbort;
        _partitions.Clear();
        StartedAt = -1;
        UpdatedAt = now;
    }

    /// <summary>A partition is gone with its topic; no marker can be written to it.</summary>
    public void Forget((string Topic, int Partition) partition) => _partitions.Remove(partition);

    /// <summary>Takes over what was persisted.</summary>
    /// <param name="value">As it was written.</param>
    /// <param name="now">Nothing has begun later, whatever the clock said then.</param>
    public void Restore(TransactionValue value, long now)
    {
        ProducerId = value.ProducerId;
        Epoch = value.ProducerEpoch;
        PreviousProducerId = value.PreviousProducerId;
        PreviousEpoch = value.PreviousEpoch;
        TimeoutMs = value.TimeoutMs;
        State = (TransactionState)value.State;
        StartedAt = Math.Min(value.StartedAt, now);
        UpdatedAt = Math.Min(value.UpdatedAt, now);
        _partitions.Clear();
        foreach (var topic in value.Topics)
        {
            foreach (var partition in topic.Partitions)
                _partitions.Add((topic.Topic, partition));
        }
    }

    public TransactionValue Describe()
    {
        var value = new TransactionValue
        {
            ProducerId = ProducerId,
            ProducerEpoch = Epoch,
            PreviousProducerId = PreviousProducerId,
            PreviousEpoch = PreviousEpoch,
            TimeoutMs = TimeoutMs,
            State = (sbyte)State,
            StartedAt = StartedAt,
            UpdatedAt = UpdatedAt,
        };
        foreach (var group in _partitions.GroupBy(p => p.Topic))
            value.Topics.Add(new TransactionValue.TopicPartitions { Topic = group.Key, Partitions = [.. group.Select(p => p.Partition)] });
        return value;
    }

    private ErrorCode Check(long producerId, short epoch)
    {
        if (producerId != ProducerId)
            return ErrorCode.InvalidProducerIdMapping;
        if (epoch != Epoch)
            return ErrorCode.ProducerFenced;
        return IsBusy ? ErrorCode.ConcurrentTransactions : ErrorCode.None;
    }

    /// <summary>Nothing has changed: the answer need not wait, unless an earlier write failed.</summary>
    private TransactionOutcome Settled() => new(ErrorCode.None, IsUnwritten ? TransactionStep.Persist : TransactionStep.Answer);

    private void Fence()
    {
        PreviousEpoch = -1;
        if (Epoch < short.MaxValue)
            Epoch++;
    }

    private void Prepare(TransactionState state, long now)
    {
        State = state;
        UpdatedAt = now;
    }
}
