using System.Collections.Concurrent;
using Millrace.Kafka.Messages;
using Millrace.Log.Groups.Consumers;
using Millrace.Log.Server;
using Millrace.Log.Storage;
using Millrace.Log.Topics;

namespace Millrace.Log.Groups;

/// <summary>
/// The shell around the groups: holds their locks, gives them the time, writes what they want kept to <c>__consumer_offsets</c>, and sends
/// their answers when that is durable. Thread-safe.
/// </summary>
internal sealed class GroupCoordinator : IDisposable
{
    private const long EmptyGroupMillis = 600_000;
    private readonly BrokerContext _context;
    private readonly GroupRules _rules;
    private readonly ConsumerGroupRules _consumerRules;
    private readonly TopicCatalog _topics;
    private readonly ConcurrentDictionary<string, GroupEntry> _groups = new(StringComparer.Ordinal);
    private readonly Lock _logGate = new();
    private readonly Lock _timerGate = new();
    private readonly ITimer _timer;
    private InternalLog? _log;
    private long _timerAt = long.MaxValue;

    public GroupCoordinator(BrokerContext context)
    {
        _context = context;
        _rules = new GroupRules((int)context.Options.GroupInitialRebalanceDelay.TotalMilliseconds, context.Options.GroupMaxSize) { Faults = context.Store.Faults };
        _consumerRules = new ConsumerGroupRules(
            (int)context.Options.ConsumerHeartbeatInterval.TotalMilliseconds, (int)context.Options.ConsumerSessionTimeout.TotalMilliseconds,
            context.Options.GroupMaxSize, HidesTopics: context.Options.Security is { Authorize: true }) { Faults = context.Store.Faults };
        _topics = new TopicCatalog(context.Store);
        _timer = context.Time.CreateTimer(_ => Tick(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        if (context.Store.Find(InternalTopics.Offsets) is { } topic)
        {
            _log = new InternalLog(topic.Partitions[0]);
            new GroupLoader(this, context.Steady).Load(_log);
        }
        Reschedule(long.MinValue);
    }

    public IEnumerable<GroupEntry> Groups => _groups.Values;

    /// <summary>Where the groups' records are; made when first needed.</summary>
    /// <exception cref="IOException">It could not be made.</exception>
    public InternalLog Log
    {
        get
        {
            lock (_logGate)
            {
                if (_log is not null)
                    return _log;
                var (topic, _) = _context.Store.Create(InternalTopics.Offsets, 1, InternalTopics.Configs);
                return _log = new InternalLog(topic.Partitions[0]);
            }
        }
    }

    /// <summary>The partition of the groups' records, or null before anything was written.</summary>
    public Partition? OffsetsPartition
    {
        get
        {
            lock (_logGate)
                return _log?.Partition;
        }
    }

    public GroupEntry? Find(string id) => _groups.GetValueOrDefault(id);

    public GroupEntry GetOrAdd(string id) => _groups.GetOrAdd(id, static (i, self) => new GroupEntry(i, self._rules, self._consumerRules, self._topics), this);

    /// <summary>Lets a group's machine do something and carries out what it wants.</summary>
    public void Run(GroupEntry group, Action<GroupEntry> step)
    {
        List<GroupEffect> effects;
        long deadline;
        lock (group.Gate)
        {
            step(group);
            effects = TakeEffects(group);
            deadline = group.NextDeadline;
        }
        Send(effects, ErrorCode.None);
        Reschedule(deadline);
    }

    /// <summary>As <see cref="Run"/>, with an answer at once.</summary>
    public T Run<T>(GroupEntry group, Func<GroupEntry, T> step)
    {
        T result = default!;
        Run(group, entry =>
        {
            result = step(entry);
        });
        return result;
    }

    /// <summary>Writes committed offsets; they count when they are durable.</summary>
    /// <param name="group">The group.</param>
    /// <param name="offsets">What to commit.</param>
    /// <param name="done">Called once.</param>
    /// <param name="producerId">Of the transaction whose end makes them count, else -1.</param>
    /// <param name="producerEpoch">Likewise.</param>
    public void Commit(
        GroupEntry group, List<(string Topic, int Partition, CommittedOffset Offset)> offsets, Action<ErrorCode> done,
        long producerId = -1, short producerEpoch = -1)
    {
        var records = new List<StateRecord>(offsets.Count);
        foreach (var (topic, partition, offset) in offsets)
            records.Add(OffsetRecord(group.Id, topic, partition, offset));
        Append(records, producerId, producerEpoch, error =>
        {
            if (error == ErrorCode.None)
            {
                lock (group.Gate)
                {
                    group.IsPersisted = true;
                    foreach (var (topic, partition, offset) in offsets)
                    {
                        if (producerId >= 0 && !_context.Store.Faults.OffsetsAtOnce)
                            group.Offsets.Hold(producerId, topic, partition, offset);
                        else
                            group.Offsets.Commit(topic, partition, offset);
                    }
                }
            }
            done(error);
        });
    }

    /// <summary>Forgets committed offsets durably.</summary>
    public void Forget(GroupEntry group, List<(string Topic, int Partition)> offsets, Action<ErrorCode> done)
    {
        var records = new List<StateRecord>(offsets.Count);
        foreach (var (topic, partition) in offsets)
            records.Add(new StateRecord(OffsetKeyOf(group.Id, topic, partition), null));
        if (records.Count == 0)
        {
            done(ErrorCode.None);
            return;
        }
        Append(records, -1, -1, error =>
        {
            if (error == ErrorCode.None)
            {
                lock (group.Gate)
                {
                    foreach (var (topic, partition) in offsets)
                        group.Offsets.Remove(topic, partition);
                }
            }
            done(error);
        });
    }

    /// <summary>Deletes a group without members, with its offsets.</summary>
    public void Delete(string id, Action<ErrorCode> done)
    {
        if (Find(id) is not { } group)
        {
            done(ErrorCode.GroupIdNotFound);
            return;
        }
        var records = new List<StateRecord>();
        lock (group.Gate)
        {
            if (group.IsDead)
            {
                done(ErrorCode.GroupIdNotFound);
                return;
            }
            if (!group.IsEmpty)
            {
                done(ErrorCode.NonEmptyGroup);
                return;
            }
            foreach (var (topic, partition) in group.Offsets.Committed.Keys)
                records.Add(new StateRecord(OffsetKeyOf(id, topic, partition), null));
            records.Add(new StateRecord(GroupRecords.Encode(GroupRecords.GroupKeyVersion, new GroupKey { Group = id }), null));
            group.Kill(_context.Steady);
            _groups.TryRemove(id, out _);
        }
        Append(records, -1, -1, done);
    }

    /// <summary>A topic is gone: what groups committed for it must not meet a new topic of that name.</summary>
    public void TopicDeleted(Topic topic)
    {
        foreach (var group in _groups.Values)
        {
            List<(string, int)> gone = [];
            lock (group.Gate)
            {
                foreach (var (name, partition) in group.Offsets.Committed.Keys)
                {
                    if (name == topic.Name)
                        gone.Add((name, partition));
                }
            }
            Forget(group, gone, _ => { });
        }
    }

    /// <summary>Drops offsets and groups that nobody has used for the retention time, by the machine's clock and by one that does not jump.</summary>
    /// <param name="now">Milliseconds of Unix time.</param>
    /// <param name="steady">Likewise, without jumps.</param>
    public void Maintain(long now, long steady)
    {
        var retention = (long)_context.Options.OffsetRetention.TotalMilliseconds;
        foreach (var group in _groups.Values)
        {
            List<(string, int)> old = [];
            bool isDone;
            lock (group.Gate)
            {
                if (!group.IsEmpty)
                    continue;
                foreach (var (key, offset) in group.Offsets.Committed)
                {
                    if (offset.CommittedAt + retention < now && group.EmptySince + retention < steady)
                        old.Add(key);
                }
                isDone = group.Offsets.IsEmpty && group.EmptySince + EmptyGroupMillis < steady;
            }
            if (old.Count > 0)
                Forget(group, old, _ => { });
            else if (isDone)
                Remove(group);
        }
    }

    /// <summary>A transaction's marker has been written to the groups' log: offsets committed in it count or are dropped.</summary>
    public void EndTransaction(long producerId, bool commit)
    {
        foreach (var group in _groups.Values)
        {
            lock (group.Gate)
                group.Offsets.End(producerId, commit);
        }
    }

    public void Dispose() => _timer.Dispose();

    /// <summary>For the loader.</summary>
    internal GroupEntry Loaded(string id)
    {
        var group = GetOrAdd(id);
        group.IsPersisted = true;
        return group;
    }

    internal void Unload(string id) => _groups.TryRemove(id, out _);

    private void Remove(GroupEntry group)
    {
        if (group.IsPersisted)
            Delete(group.Id, _ => { });
        else
            _groups.TryRemove(group.Id, out _);
    }

    private void Append(List<StateRecord> records, long producerId, short producerEpoch, Action<ErrorCode> done)
    {
        try
        {
            Log.Append(records, _context.Now, error => done(Translate(error)), producerId, producerEpoch);
        }
        catch (IOException error)
        {
            _context.Metrics.LogTrouble($"{InternalTopics.Offsets} could not be written", error);
            done(ErrorCode.CoordinatorNotAvailable);
        }
    }

    /// <summary>What a failed append of the broker's own log means to a client: try again.</summary>
    private static ErrorCode Translate(ErrorCode error) => error == ErrorCode.None ? ErrorCode.None : ErrorCode.CoordinatorNotAvailable;

    private List<GroupEffect> TakeEffects(GroupEntry group)
    {
        var effects = group.TakeEffects();
        if (_context.Store.Faults.ForgetMembers)
            return effects;
        if (!effects.Exists(e => e is GroupEffect.Persist))
        {
            if (effects.Count == 0 || group.Unwritten == 0 || _context.Store.Faults.TellUnwritten)
                return effects;
            // What they tell may be what is just being written: a member that goes on from it must find the commits before it, too.
            Log.Partition.AwaitFlush(new Waiter(error => Send(effects, Translate(error))), 0);
            return [];
        }
        // The picture is taken under the lock, the answers follow when it is durable.
        var record = new StateRecord(
            GroupRecords.Encode(GroupRecords.GroupKeyVersion, new GroupKey { Group = group.Id }),
            group.Consumers is { } consumers
                ? GroupRecords.Encode(ConsumerGroupValue.RecordVersion, ConsumerGroupValue.Of(consumers))
                : GroupRecords.Encode(GroupRecords.ValueVersion, GroupLoader.Describe(group.Classic)));
        group.IsPersisted = true;
        group.Unwritten++;
        Append([record], -1, -1, error =>
        {
            lock (group.Gate)
                group.Unwritten--;
            Send(effects, error);
        });
        return [];
    }

    private static void Send(List<GroupEffect> effects, ErrorCode failed)
    {
        foreach (var effect in effects)
        {
            switch (effect)
            {
                case GroupEffect.JoinReply join:
                    ((Action<JoinResult>)join.Token)(failed == ErrorCode.None ? join.Result : JoinResult.Failed(join.Result.MemberId, failed));
                    break;
                case GroupEffect.SyncReply sync:
                    ((Action<SyncResult>)sync.Token)(failed == ErrorCode.None ? sync.Result : SyncResult.Failed(failed));
                    break;
                case GroupEffect.HeartbeatReply beat:
                    ((Action<HeartbeatResult>)beat.Token)(failed == ErrorCode.None ? beat.Result : HeartbeatResult.Failed(failed, beat.Result.MemberId));
                    break;
            }
        }
    }

    private void Tick()
    {
        lock (_timerGate)
            _timerAt = long.MaxValue;
        var now = _context.Steady;
        foreach (var group in _groups.Values)
        {
            bool due;
            lock (group.Gate)
                due = group.NextDeadline <= now;
            if (due)
                Run(group, entry => entry.Tick(_context.Steady));
        }
        Reschedule(long.MinValue);
    }

    /// <summary>Sets the timer when a deadline comes before what it is set to; the lowest value looks at all groups.</summary>
    private void Reschedule(long deadline)
    {
        if (deadline == long.MinValue)
        {
            deadline = long.MaxValue;
            foreach (var group in _groups.Values)
            {
                lock (group.Gate)
                    deadline = Math.Min(deadline, group.NextDeadline);
            }
        }
        lock (_timerGate)
        {
            if (deadline >= _timerAt)
                return;
            _timerAt = deadline;
            _timer.Change(TimeSpan.FromMilliseconds(Math.Max(1, deadline - _context.Steady)), Timeout.InfiniteTimeSpan);
        }
    }

    private sealed class Waiter(Action<ErrorCode> done) : IAppendWaiter
    {
        public void Appended(int slot, ErrorCode error) => done(error);
    }

    private static byte[] OffsetKeyOf(string group, string topic, int partition) =>
        GroupRecords.Encode(GroupRecords.OffsetKeyVersion, new OffsetKey { Group = group, Topic = topic, Partition = partition });

    private static StateRecord OffsetRecord(string group, string topic, int partition, CommittedOffset offset) => new(
        OffsetKeyOf(group, topic, partition),
        GroupRecords.Encode(GroupRecords.ValueVersion, new OffsetValue
        {
            Offset = offset.Offset, LeaderEpoch = offset.LeaderEpoch, Metadata = offset.Metadata, CommitTimestamp = offset.CommittedAt,
        }));
}
