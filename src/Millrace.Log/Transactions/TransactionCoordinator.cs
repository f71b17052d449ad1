using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Millrace.Kafka.Messages;
using Millrace.Log.Groups;
using Millrace.Log.Server;
using Millrace.Log.Storage;

namespace Millrace.Log.Transactions;

/// <summary>
/// The shell around the transactions: writes their states to <c>__transaction_state</c> and their markers to the partitions, and answers when
/// that is durable. The prepared state and all markers are one flush, so no crash comes between them.
/// </summary>
internal sealed partial class TransactionCoordinator
{
    private readonly BrokerContext _context;
    private readonly GroupCoordinator _groups;
    private readonly ILogger _logger;
    private readonly ConcurrentDictionary<string, Entry> _entries = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<long, Entry> _byProducer = new();
    private readonly Lock _logGate = new();
    private InternalLog? _log;

    private sealed class Entry(string id)
    {
        public Lock Gate { get; } = new();

        public TransactionMachine Machine { get; } = new(id);
    }

    public TransactionCoordinator(BrokerContext context, GroupCoordinator groups)
    {
        _context = context;
        _groups = groups;
        _logger = context.Logs.CreateLogger<TransactionCoordinator>();
        if (context.Store.Find(InternalTopics.Transactions) is { } topic)
            Load(_log = new InternalLog(topic.Partitions[0]));
    }

    /// <summary>The partition that holds committed offsets, as a part of transactions.</summary>
    public static (string Topic, int Partition) OffsetsPartition => (InternalTopics.Offsets, 0);

    /// <summary>Begins or renews the use of a transactional id.</summary>
    /// <param name="done">Given the error, producer id and epoch, once.</param>
    public void Init(string id, int timeoutMs, long expectedId, short expectedEpoch, Action<ErrorCode, long, short> done)
    {
        if (id.Length == 0)
        {
            done(ErrorCode.InvalidRequest, -1, -1);
            return;
        }
        if (timeoutMs <= 0 || timeoutMs > _context.Options.MaxTransactionTimeout.TotalMilliseconds)
        {
            done(ErrorCode.InvalidTransactionTimeout, -1, -1);
            return;
        }
        var entry = _entries.GetOrAdd(id, static i => new Entry(i));
        Run(entry, machine => machine.Init(timeoutMs, expectedId, expectedEpoch, _context.Store.NextProducerId, _context.Steady), error =>
        {
            lock (entry.Gate)
            {
                var failed = error != ErrorCode.None;
                done(error, failed ? -1 : entry.Machine.ProducerId, failed ? (short)-1 : entry.Machine.Epoch);
            }
        });
    }

    public void Add(string id, long producerId, short epoch, IReadOnlyCollection<(string Topic, int Partition)> partitions, Action<ErrorCode> done) =>
        RunKnown(id, machine => machine.Add(producerId, epoch, partitions, _context.Steady), done);

    public void End(string id, long producerId, short epoch, bool commit, Action<ErrorCode> done) =>
        RunKnown(id, machine => machine.End(producerId, epoch, commit, _context.Steady), done);

    /// <summary>
    /// Appends a part of a transaction. The check and the append are one step: a marker that ends the transaction comes wholly before (and the
    /// check fails) or wholly behind.
    /// </summary>
    /// <param name="producerId">Of the batch.</param>
    /// <param name="epoch">Of the batch.</param>
    /// <param name="partition">Where to.</param>
    /// <param name="append">Gives the batch its place; must not wait.</param>
    public ErrorCode Append(long producerId, short epoch, (string Topic, int Partition) partition, Func<ErrorCode> append)
    {
        if (!_byProducer.TryGetValue(producerId, out var entry))
            return ErrorCode.InvalidProducerIdMapping;
        lock (entry.Gate)
        {
            var error = entry.Machine.CheckAppend(producerId, epoch, partition);
            return error == ErrorCode.None ? append() : error;
        }
    }

    /// <summary>Ends a producer's transaction in one partition, whatever its transactional id says (KIP-664).</summary>
    /// <param name="place">The partition.</param>
    /// <param name="producerId">Whose.</param>
    /// <param name="epoch">Not lower than the last that was seen there.</param>
    /// <param name="commit">Or abort.</param>
    /// <param name="done">Called once.</param>
    public void WriteMarker((string Topic, int Partition) place, long producerId, short epoch, bool commit, Action<ErrorCode> done)
    {
        if (_context.Store.Find(place.Topic)?.Partition(place.Partition) is not { } partition)
            done(ErrorCode.UnknownTopicOrPartition);
        else if (partition.IsFenced(producerId, epoch))
            done(ErrorCode.InvalidProducerEpoch);
        else if (!partition.HasOpenTransaction(producerId))
            done(ErrorCode.None);
        else
            AppendMarker(partition, producerId, epoch, commit, done);
    }

    /// <summary>Goes on with what a restart or a failed write has left half done, aborts what has run too long, forgets ids that nobody uses.</summary>
    /// <param name="now">Milliseconds of Unix time, without jumps.</param>
    public void Maintain(long now)
    {
        foreach (var entry in _entries.Values)
        {
            Run(entry, machine => machine is { IsPrepared: true, IsBusy: false }
                ? new TransactionOutcome(ErrorCode.None, TransactionStep.Finish)
                : machine.Expire(now), error => LogUnfinished(entry, error));
            ForgetIdle(entry, now);
        }
    }

    public IReadOnlyList<(string Id, TransactionState State, TransactionValue Value)> Describe()
    {
        var list = new List<(string, TransactionState, TransactionValue)>();
        foreach (var (id, entry) in _entries)
        {
            lock (entry.Gate)
            {
                if (entry.Machine.ProducerId >= 0)
                    list.Add((id, entry.Machine.State, entry.Machine.Describe()));
            }
        }
        return list;
    }

    private void RunKnown(string id, Func<TransactionMachine, TransactionOutcome> step, Action<ErrorCode> done)
    {
        if (!_entries.TryGetValue(id, out var entry))
        {
            done(ErrorCode.InvalidProducerIdMapping);
            return;
        }
        Run(entry, step, done);
    }

    private void Run(Entry entry, Func<TransactionMachine, TransactionOutcome> step, Action<ErrorCode> done)
    {
        TransactionOutcome outcome;
        lock (entry.Gate)
        {
            try
            {
                outcome = step(entry.Machine);
            }
            catch (IOException error)
            {
                _context.Metrics.LogTrouble("no producer id could be given out", error);
                outcome = new(ErrorCode.CoordinatorNotAvailable, TransactionStep.Answer);
            }
            if (entry.Machine.ProducerId >= 0)
                _byProducer[entry.Machine.ProducerId] = entry;
            if (outcome.Step == TransactionStep.Persist && _context.Store.Faults.AddWithoutWriting && entry.Machine.State == TransactionState.Ongoing)
                outcome = outcome with { Step = TransactionStep.Answer };
            if (outcome.Step == TransactionStep.Persist)
            {
                entry.Machine.IsBusy = true;
                Persist(entry, error => Persisted(entry, error, done));
            }
            else if (outcome.Step == TransactionStep.Finish)
            {
                entry.Machine.IsBusy = true;
                Finish(entry, outcome.Error, done);
            }
        }
        if (outcome.Step == TransactionStep.Answer)
            done(outcome.Error);
    }

    /// <summary>The state is durable, or not.</summary>
    private static void Persisted(Entry entry, ErrorCode error, Action<ErrorCode> done)
    {
        lock (entry.Gate)
        {
            entry.Machine.IsBusy = false;
            entry.Machine.IsUnwritten = error != ErrorCode.None;
        }
        done(error);
    }

    /// <summary>Writes the prepared state and all markers in one flush. Called under the entry's lock.</summary>
    private void Finish(Entry entry, ErrorCode answer, Action<ErrorCode> done)
    {
        var machine = entry.Machine;
        var (producerId, epoch, commit) = (machine.ProducerId, machine.Epoch, machine.IsCommit);
        List<Partition> partitions = [];
        foreach (var place in new List<(string Topic, int Partition)>(machine.Partitions))
        {
            if (_context.Store.Find(place.Topic)?.Partition(place.Partition) is { } partition)
                partitions.Add(partition);
            else
                machine.Forget(place);
        }
        if (_context.Store.Faults.DropMarker && partitions.Count > 1)
            partitions.RemoveAt(partitions.Count - 1);
        var failed = ErrorCode.None;
        var left = new Countdown(partitions.Count + 1, () => Finished(entry, failed, answer, done));
        if (_context.Store.Faults.EndPiecemeal)
        {
            Piecemeal(0);
            return;
        }
        _context.Store.Committer.Queue.Together(() =>
        {
            Persist(entry, error =>
            {
                failed = error == ErrorCode.None ? failed : error;
                left.Signal();
            });
            foreach (var partition in partitions)
            {
                AppendMarker(partition, producerId, epoch, commit, error =>
                {
                    // A topic that was deleted meanwhile needs no marker.
                    if (error is not (ErrorCode.None or ErrorCode.UnknownTopicOrPartition))
                        failed = error;
                    left.Signal();
                });
            }
        });
        left.Signal();

        void Piecemeal(int at)
        {
            if (at < partitions.Count)
                AppendMarker(partitions[at], producerId, epoch, commit, _ => Piecemeal(at + 1));
            else
                Persist(entry, error => Finished(entry, error, answer, done));
        }
    }

    private void AppendMarker(Partition partition, long producerId, short epoch, bool commit, Action<ErrorCode> done)
    {
        var batch = ControlRecord.Build(producerId, epoch, commit, coordinatorEpoch: 0, _context.Now);
        new InternalLog(partition).AppendBatch(batch, _context.Now, commit ? Marker.Commit : Marker.Abort, error =>
        {
            if (error == ErrorCode.None && partition == _groups.OffsetsPartition)
                _groups.EndTransaction(producerId, commit);
            done(error);
        });
    }

    private void Finished(Entry entry, ErrorCode failed, ErrorCode answer, Action<ErrorCode> done)
    {
        lock (entry.Gate)
        {
            entry.Machine.IsBusy = false;
            entry.Machine.IsUnwritten = failed != ErrorCode.None;
            if (failed == ErrorCode.None)
            {
                entry.Machine.Complete(_context.Steady);
                // Not waited for: whatever the producer does next is written behind it, and without it a restart writes the markers again,
                // which changes nothing.
                Persist(entry, _ => { });
            }
        }
        // A prepared state that could not be finished is taken up by the producer's retry, or by Maintain.
        done(failed == ErrorCode.None ? answer : ErrorCode.ConcurrentTransactions);
    }

    private void Persist(Entry entry, Action<ErrorCode> done)
    {
        var record = new StateRecord(
            GroupRecords.Encode(TransactionKey.RecordVersion, new TransactionKey { TransactionalId = entry.Machine.TransactionalId }),
            GroupRecords.Encode(TransactionValue.RecordVersion, entry.Machine.Describe()));
        Append(record, done);
    }

    private void Append(StateRecord record, Action<ErrorCode> done)
    {
        try
        {
            Log().Append([record], _context.Now, error => done(error == ErrorCode.None ? error : ErrorCode.CoordinatorNotAvailable));
        }
        catch (IOException error)
        {
            _context.Metrics.LogTrouble($"{InternalTopics.Transactions} could not be written", error);
            done(ErrorCode.CoordinatorNotAvailable);
        }
    }

    private InternalLog Log()
    {
        lock (_logGate)
        {
            if (_log is not null)
                return _log;
            var (topic, _) = _context.Store.Create(InternalTopics.Transactions, 1, InternalTopics.Configs);
            return _log = new InternalLog(topic.Partitions[0]);
        }
    }

    private void ForgetIdle(Entry entry, long now)
    {
        lock (entry.Gate)
        {
            var machine = entry.Machine;
            if (machine.IsBusy || machine.IsPrepared || machine.State == TransactionState.Ongoing
                || now - machine.UpdatedAt < _context.Options.TransactionalIdExpiration.TotalMilliseconds)
            {
                return;
            }
            _entries.TryRemove(machine.TransactionalId, out _);
            _byProducer.TryRemove(machine.ProducerId, out _);
            if (machine.ProducerId < 0)
                return;
            var key = GroupRecords.Encode(TransactionKey.RecordVersion, new TransactionKey { TransactionalId = machine.TransactionalId });
            Append(new StateRecord(key, null), _ => { });
        }
    }

    private void Load(InternalLog log)
    {
        log.ReadAll(batch =>
        {
            foreach (var (key, value) in batch.Records)
            {
                var id = GroupRecords.Decode<TransactionKey>(key).TransactionalId;
                if (value is null)
                    _entries.TryRemove(id, out _);
                else
                    _entries.GetOrAdd(id, static i => new Entry(i)).Machine.Restore(GroupRecords.Decode<TransactionValue>(value), _context.Steady);
            }
        });
        foreach (var entry in _entries.Values)
            _byProducer[entry.Machine.ProducerId] = entry;
    }

    private void LogUnfinished(Entry entry, ErrorCode error)
    {
        if (error != ErrorCode.None)
            LogUnfinished(entry.Machine.TransactionalId, error);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "The transaction of {Id} could not be ended yet ({Error}); it is tried again")]
    private partial void LogUnfinished(string id, ErrorCode error);
}
