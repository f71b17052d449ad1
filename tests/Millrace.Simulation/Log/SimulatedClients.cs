using System.Text;
using Millrace.Kafka.Messages;
using Millrace.Kafka.Records;
using Millrace.Log.Groups;
using Millrace.Log.Storage;
using Millrace.Log.Transactions;

namespace Millrace.Simulation.Log;

/// <summary>An idempotent producer: one batch on its way at a time, sent again until it is acknowledged, also after a crash.</summary>
internal sealed class SimulatedProducer(int number, Random random)
{
    private readonly int[] _sequences = new int[4];
    private int _next;
    private (string Topic, int Partition, string Key, List<string?> Values, byte[] Bytes)? _unsure;
    private bool _waiting;

    /// <summary>The answer to the last batch was lost; it is sent again in the next life.</summary>
    private bool _deaf;

    /// <summary>Place and value of what was acknowledged.</summary>
    public List<(string Topic, int Partition, long Offset, string Key, string? Value)> Acknowledged { get; } = [];

    private readonly List<(string Key, string? Value)> _sent = [];

    public void Step(SimulatedLog log)
    {
        if (_waiting || _deaf)
            return;
        _unsure ??= Make();
        Send(log);
    }

    public void Finish(SimulatedLog log)
    {
        if (_unsure is not null && !_waiting)
            Send(log);
    }

    public void Disconnected() => _waiting = _deaf = false;

    public void Check(SimulatedLog log)
    {
        foreach (var (topic, partitions) in new[] { ("plain", 2), ("keyed", 1) })
        {
            for (var partition = 0; partition < partitions; partition++)
                CheckPartition(log, topic, partition);
        }
    }

    private void CheckPartition(SimulatedLog log, string topic, int partition)
    {
        var mine = log.ReadCommitted(topic, partition).FindAll(r => r.Key.StartsWith($"p{number}", StringComparison.Ordinal));
        var values = new HashSet<string>();
        foreach (var (offset, key, value) in mine)
        {
            if (value is not null && !values.Add(value))
                log.Violate($"{topic}-{partition}: record {value} is there twice");
            if (!_sent.Contains((key, value)))
                log.Violate($"{topic}-{partition}@{offset}: {key}={value} was never sent");
        }
        var there = mine.ToDictionary(r => r.Offset);
        foreach (var (_, _, offset, key, value) in Acknowledged.Where(a => a.Topic == topic && a.Partition == partition))
        {
            var isSuperseded = topic == "keyed" && (value is null || mine.Exists(r => r.Key == key && r.Offset > offset)
                || Acknowledged.Exists(a => a.Topic == topic && a.Key == key && a.Offset > offset));
            if (isSuperseded)
                continue;
            if (!there.TryGetValue(offset, out var found) || found.Value != value)
                log.Violate($"{topic}-{partition}@{offset}: {key}={value} was acknowledged and is not there");
        }
    }

    private (string, int, string, List<string?>, byte[]) Make()
    {
        var isKeyed = random.Next(3) == 0;
        var partition = isKeyed ? 0 : random.Next(2);
        var key = isKeyed ? $"p{number}k{random.Next(4)}" : $"p{number}";
        var slot = isKeyed ? 2 : partition;
        using var builder = new RecordBatchBuilder { ProducerId = 1_000_000 + number, ProducerEpoch = 0, BaseSequence = _sequences[slot] };
        var values = new List<string?>();
        for (var i = random.Next(1, 4); i > 0; i--)
        {
            var value = isKeyed && random.Next(5) == 0 ? null : $"p{number}-{_next++}" + new string('.', random.Next(300));
            values.Add(value);
            _sent.Add((key, value));
            builder.Add(1_000_000, Encoding.UTF8.GetBytes(key), value is null ? default : Encoding.UTF8.GetBytes(value), hasValue: value is not null);
        }
        _sequences[slot] += values.Count;
        return (isKeyed ? "keyed" : "plain", partition, key, values, builder.Build());
    }

    private void Send(SimulatedLog log)
    {
        var (topic, partition, key, values, bytes) = _unsure!.Value;
        _waiting = true;
        var waiter = new Waiter();
        var result = log.Partition(topic, partition).Append((byte[])bytes.Clone(), log.Now, Marker.None, waiter, 0);
        if (result.Error != ErrorCode.None)
        {
            _waiting = false;
            if (result.Error is not (ErrorCode.StorageError or ErrorCode.RequestTimedOut or ErrorCode.NotLeaderOrFollower))
                log.Violate($"{topic}-{partition}: an honest producer got {result.Error}");
            return;
        }
        waiter.Done = error =>
        {
            _waiting = false;
            if (error != ErrorCode.None)
                return;
            if (random.Next(10) == 0 && !log.IsLast)
            {
                _deaf = true;
                return;
            }
            for (var i = 0; i < values.Count; i++)
                Acknowledged.Add((topic, partition, result.BaseOffset + i, key, values[i]));
            _unsure = null;
        };
        if (waiter.Outcome is { } told)
            waiter.Done(told);
    }

    private sealed class Waiter : IAppendWaiter
    {
        public Action<ErrorCode>? Done { get; set; }

        public ErrorCode? Outcome { get; private set; }

        public void Appended(int slot, ErrorCode error)
        {
            Outcome = error;
            Done?.Invoke(error);
        }
    }
}

internal enum TransactionEnd
{
    Committed,
    Aborted,
    Unknown,
}

/// <summary>A transactional producer: records in several partitions and an offset, in one transaction after another.</summary>
internal sealed class SimulatedTransactor(int number, Random random)
{
    private readonly string _id = $"x{number}";
    private long _producerId = -1;
    private short _epoch = -1;
    private int _current = -1;
    private int _next;
    private int _recordsLeft;
    private bool _begun;
    private bool _asked;
    private bool _waiting;
    private long _life;
    private readonly Dictionary<(string, int), int> _sequences = [];
    private readonly List<(string Topic, int Partition)> _places = [];
    private readonly Dictionary<int, int> _sent = [];

    /// <summary>What became of each transaction, as far as it was told.</summary>
    public Dictionary<int, TransactionEnd> Ends { get; } = [];

    private string Group => "g" + SimulatedLog.Text(number);

    public void Step(SimulatedLog log)
    {
        if (_waiting || log.Store.Committer.Broken is not null)
            return;
        if (_current >= 0 && CommittedOffset(log) == _current)
            log.Violate($"{_id}: the offset of transaction {_current} counts before it has ended");
        if (_producerId < 0)
            Init(log);
        else if (_current < 0)
            Begin();
        else if (!_begun)
            Add(log);
        else if (_recordsLeft > 0)
            Produce(log);
        else
            End(log);
    }

    /// <summary>Ends what is open by beginning anew, and nothing more.</summary>
    public void Finish(SimulatedLog log)
    {
        if (!_waiting && _producerId < 0)
            Init(log);
    }

    public void Disconnected()
    {
        _life++;
        _waiting = false;
        Lose();
    }

    public void Check(SimulatedLog log)
    {
        var counts = new Dictionary<int, int>();
        foreach (var (topic, partitions) in new[] { ("tx", 2), ("keyed", 1) })
        {
            for (var partition = 0; partition < partitions; partition++)
            {
                foreach (var (_, key, value) in log.ReadCommitted(topic, partition))
                {
                    if (key.StartsWith(_id + "-", StringComparison.Ordinal))
                    {
                        var transaction = int.Parse(value!.Split('.')[0], System.Globalization.CultureInfo.InvariantCulture);
                        counts[transaction] = counts.GetValueOrDefault(transaction) + 1;
                    }
                }
            }
        }
        var newest = -1L;
        for (var transaction = 0; transaction < _next; transaction++)
        {
            var found = counts.GetValueOrDefault(transaction);
            var sent = _sent.GetValueOrDefault(transaction);
            var end = Ends.GetValueOrDefault(transaction, TransactionEnd.Unknown);
            if (end == TransactionEnd.Committed && found != sent)
                log.Violate($"{_id}: transaction {transaction} was committed, {found} of {sent} records are there");
            if (end == TransactionEnd.Aborted && found != 0)
                log.Violate($"{_id}: transaction {transaction} was aborted, {found} of its records are shown");
            if (end == TransactionEnd.Unknown && found != 0 && found != sent)
                log.Violate($"{_id}: transaction {transaction} is there in part, {found} of {sent} records");
            if (found > 0 && found == sent)
                newest = transaction;
        }
        var committed = CommittedOffset(log);
        if (committed != newest)
            log.Violate($"{_id}: the offset of transaction {committed} counts, the newest that is there is {newest}");
    }

    private long CommittedOffset(SimulatedLog log)
    {
        if (log.Groups.Find(Group) is not { } group)
            return -1;
        lock (group.Gate)
            return group.Offsets.Committed.TryGetValue(("plain", 0), out var offset) ? offset.Offset : -1;
    }

    private void Lose()
    {
        (_producerId, _epoch, _current, _begun, _recordsLeft) = (-1, -1, -1, false, 0);
        _asked = false;
    }

    private Action<ErrorCode> Told(Action<ErrorCode> then)
    {
        _waiting = true;
        var life = _life;
        return error =>
        {
            // An answer that comes after the connection was lost is not heard.
            if (life != _life)
                return;
            _waiting = false;
            then(error);
        };
    }

    private void Init(SimulatedLog log)
    {
        var told = Told(_ => { });
        var life = _life;
        log.Transactions.Init(_id, 60_000_000, -1, -1, (error, id, epoch) =>
        {
            told(error);
            if (life != _life || error != ErrorCode.None)
                return;
            (_producerId, _epoch) = (id, epoch);
            _sequences.Clear();
        });
    }

    private void Begin()
    {
        _current = _next++;
        _sent[_current] = 0;
        _places.Clear();
        _places.Add(("tx", 0));
        if (random.Next(3) > 0)
            _places.Add(("tx", 1));
        if (random.Next(3) == 0)
            _places.Add(("keyed", 0));
        _recordsLeft = random.Next(_places.Count, _places.Count + 3);
    }

    private void Add(SimulatedLog log)
    {
        if (!_asked)
        {
            log.Transactions.Add(_id, _producerId, _epoch, _places, Told(error =>
            {
                if (error == ErrorCode.None)
                    _asked = true;
                else if (error != ErrorCode.ConcurrentTransactions)
                    Lose();
            }));
            return;
        }
        log.Transactions.Add(_id, _producerId, _epoch, [TransactionCoordinator.OffsetsPartition], Told(error =>
        {
            if (error == ErrorCode.None)
                CommitOffset(log);
            else if (error != ErrorCode.ConcurrentTransactions)
                Lose();
        }));
    }

    private void CommitOffset(SimulatedLog log)
    {
        var told = Told(error =>
        {
            if (error == ErrorCode.None)
                _begun = true;
            else
                Lose();
        });
        var group = log.Groups.GetOrAdd(Group);
        var error = log.Transactions.Append(_producerId, _epoch, TransactionCoordinator.OffsetsPartition, () =>
        {
            log.Groups.Commit(group, [("plain", 0, new Millrace.Log.Groups.CommittedOffset(_current, -1, "", log.Now))], told, _producerId, _epoch);
            return ErrorCode.None;
        });
        if (error != ErrorCode.None)
            told(error);
    }

    private void Produce(SimulatedLog log)
    {
        var place = _places[_recordsLeft % _places.Count];
        var sequence = _sequences.GetValueOrDefault(place);
        using var builder = new RecordBatchBuilder
        {
            ProducerId = _producerId, ProducerEpoch = _epoch, BaseSequence = sequence, Attributes = BatchAttributes.Transactional,
        };
        var key = $"{_id}-{_current}-{_recordsLeft}";
        builder.Add(1_000_000, Encoding.UTF8.GetBytes(key), Encoding.UTF8.GetBytes($"{_current}." + new string('.', random.Next(200))));
        _sent[_current]++;
        var told = Told(error =>
        {
            if (error != ErrorCode.None)
            {
                Lose();
                return;
            }
            _sequences[place] = sequence + 1;
            _recordsLeft--;
        });
        var waiter = new Waiter(told);
        var bytes = builder.Build();
        var refused = ErrorCode.None;
        var error = log.Transactions.Append(_producerId, _epoch, place, () => refused = log.Partition(place.Topic, place.Partition).Append(bytes, log.Now, Marker.None, waiter, 0).Error);
        if (error != ErrorCode.None)
            told(error);
    }

    private void End(SimulatedLog log)
    {
        var commit = random.Next(4) > 0;
        var transaction = _current;
        log.Transactions.End(_id, _producerId, _epoch, commit, Told(error =>
        {
            if (error == ErrorCode.None)
            {
                Ends[transaction] = commit ? TransactionEnd.Committed : TransactionEnd.Aborted;
                (_current, _begun, _asked) = (-1, false, false);
            }
            else
            {
                // Its end is not known to the producer; the next Init settles it.
                Lose();
            }
        }));
    }

    private sealed class Waiter(Action<ErrorCode> done) : IAppendWaiter
    {
        public void Appended(int slot, ErrorCode error) => done(error);
    }
}
