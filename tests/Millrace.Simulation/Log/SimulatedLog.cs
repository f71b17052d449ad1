using System.Globalization;
using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Kafka.Messages;
using Millrace.Kafka.Records;
using Millrace.Log;
using Millrace.Log.Groups;
using Millrace.Log.Security;
using Millrace.Log.Server;
using Millrace.Log.Storage;
using Millrace.Log.Transactions;
using Millrace.Storage.Files.Faults;
using Millrace.Tests.Log;

namespace Millrace.Simulation.Log;

/// <summary>
/// The real log, groups and transactions on a simulated disk, one thread, one seed. Clients produce, transact and commit offsets; the process
/// ends again and again. At the end everything is read and compared with what clients were told.
/// </summary>
internal sealed class SimulatedLog
{
    private const int Partitions = 2;
    private readonly LogPlan _plan;
    private readonly Random _random;
    private readonly Random _ids;
    private readonly SimulatedFileSystem _disk;
    private readonly SimulatedTime _time = new();
    private readonly List<SimulatedProducer> _producers = [];
    private readonly List<SimulatedTransactor> _transactors = [];
    private readonly List<PipeliningProducer> _pipelines = [];
    private readonly List<GroupLedger> _ledgers = [];
    private readonly AgingProducer _aging = new();
    private CrashingFileSystem? _crashing;
    private bool _full;

    public SimulatedLog(LogPlan plan)
    {
        _plan = plan;
        _random = new Random(plan.Seed);
        _ids = new Random(plan.Seed * 7919);
        _disk = new SimulatedFileSystem(plan.Seed);
        for (var i = 0; i < plan.Producers; i++)
            _producers.Add(new SimulatedProducer(i, _random));
        for (var i = 0; i < plan.Transactors; i++)
            _transactors.Add(new SimulatedTransactor(i, _random));
        for (var i = 0; i < plan.Pipelines; i++)
            _pipelines.Add(new PipeliningProducer(i, _random));
        AddMembers(plan.ClassicMembers, "classic", (ledger, number, isStatic) => new ClassicMember(ledger, number, isStatic, _random));
        AddMembers(plan.ConsumerMembers, "consumer", (ledger, number, isStatic) => new ConsumerProtocolMember(ledger, number, isStatic, _random));
    }

    private void AddMembers(int count, string id, Func<GroupLedger, int, bool, SimulatedMember> make)
    {
        if (count == 0)
            return;
        var ledger = new GroupLedger(id);
        _ledgers.Add(ledger);
        for (var i = 0; i < count; i++)
            Members.Add(make(ledger, i, i % _plan.StaticEach == 0));
    }

    /// <summary>What was found to be wrong, or null.</summary>
    public string? Violation { get; private set; }

    /// <summary>No answer is lost any more.</summary>
    public bool IsLast { get; private set; }

    public int Acknowledged => _producers.Sum(p => p.Acknowledged.Count) + _pipelines.Sum(p => p.Acknowledged);

    /// <summary>Starts that damage was told to.</summary>
    public int Refusals { get; private set; }

    public List<SimulatedMember> Members { get; } = [];

    public BrokerContext Context { get; private set; } = null!;

    /// <summary>The disk is full or slow, so that nobody is to be blamed for waiting.</summary>
    public bool IsHindered => _full || _plan.SlowFlushMillis > 0 || Store.Committer.Broken is not null;

    public long Steady => _time.GetTimestamp();

    /// <summary>The latest that the clock has ever shown.</summary>
    public long LatestTime => _time.Latest;

    public int Committed => _transactors.Sum(t => t.Ends.Count(e => e.Value == TransactionEnd.Committed));

    public LogStore Store { get; private set; } = null!;

    public GroupCoordinator Groups { get; private set; } = null!;

    public TransactionCoordinator Transactions { get; private set; } = null!;

    public long Now => _time.Wall;

    public void Run()
    {
        try
        {
            for (var life = 0; life < _plan.Lives && Violation is null; life++)
                Live(life);
            if (Violation is null)
                LastLife();
        }
        catch (SegmentDamagedException damage)
        {
            Violation = "acknowledged bytes cannot be read back: " + damage.Message;
        }
        catch (InvalidDataException damage)
        {
            Violation = "what was written cannot be read: " + damage.Message;
        }
        catch (Exception bug) when (bug is KeyNotFoundException or ArgumentException or InvalidOperationException or NullReferenceException)
        {
            Violation = "a fault of the broker: " + bug;
        }
    }

    public Partition Partition(string topic, int index) => Store.Find(topic)!.Partitions[index];

    public void Violate(string what) => Violation ??= what;

    private void Live(int life)
    {
        // Some power failures hit recovery itself, most what comes after.
        var isPowerFailure = _random.NextDouble() < _plan.PowerFailures;
        _crashing = new CrashingFileSystem(_disk, isPowerFailure ? _random.Next(1, _plan.StepsEach * 2) : int.MaxValue)
        {
            // Timers run on other threads, which wait while this one changes the topics: here they would come in between on the same thread.
            Flushing = () => _time.Pass(_plan.SlowFlushMillis > 0 ? _random.Next(_plan.SlowFlushMillis) : 0, runs: Store is not { IsChangingHere: true }),
        };
        if (_plan.Rot && life > 0 && !_full)
            RotBetweenLives();
        if (_plan.LosesCheckpoints && life > 0 && !_full && _random.Next(3) == 0)
            LoseCheckpoint();
        if (_random.NextDouble() < _plan.FailedFlush)
            _disk.FailFlush("", _random.Next(1, 60));
        try
        {
            Open(_crashing);
            for (var step = 0; step < _plan.StepsEach && Violation is null; step++)
                Step();
            if (_random.Next(2) == 0 && Store.Committer.Broken is null)
                Store.Dispose();
        }
        catch (PowerOff)
        {
            // As planned.
        }
        catch (IOException) when (_plan.FailedFlush > 0 || _full)
        {
            // A flush that fails or a disk that is full while the log opens: it does not start, and is started again.
        }
        // Without the store there was no life at all.
        Store?.Abandon();
        foreach (var producer in _producers)
            producer.Disconnected();
        foreach (var transactor in _transactors)
            transactor.Disconnected();
        _pipelines.ForEach(p => p.Cut());
        Members.ForEach(m => m.Cut());
        Members.ForEach(m => m.Forgive());
        _time.Forget();
        if (_random.Next(2) == 0)
            SetRoom(full: false);
        if (isPowerFailure || Store?.Committer.Broken is not null)
            _disk.Crash();
    }

    private void Step()
    {
        _time.Pass(_random.Next(50));
        var choice = _random.Next(100);
        if (choice < 35)
            Store.Committer.RunCycle();
        else if (choice < 65)
            _producers[_random.Next(_producers.Count)].Step(this);
        else if (choice < 94)
            _transactors[_random.Next(_transactors.Count)].Step(this);
        else if (choice < 97)
            Store.Committer.RequestCheckpoint();
        else if (choice < 98)
            Transactions.Maintain(Context.Steady);
        else
            Store.Maintain(Now, Context.Steady, ProducerIdleMillis);
        StepOthers();
    }

    /// <summary>What only some plans have.</summary>
    private void StepOthers()
    {
        for (var i = 0; i < _pipelines.Count; i++)
        {
            if (_random.Next(4) == 0)
                _pipelines[i].Step(this);
            if (_random.Next(40) == 0)
                _pipelines[i].Cut();
        }
        foreach (var member in Members)
        {
            if (_random.Next(3) == 0)
                member.Step(this);
        }
        if (_plan.Aging && _random.Next(4) == 0)
            _aging.Step(this);
        if (_plan.ClockJumps && _random.Next(100) == 0)
            _time.Jump(_random.Next(-3 * DayMillis, 3 * DayMillis));
        if (_plan.Aging && _random.Next(60) == 0)
            _time.Jump(_random.Next((int)AgingProducer.RetentionMillis));
        if (_plan.FullDisk && _random.Next(_full ? 15 : _plan.FullEach) == 0)
            SetRoom(!_full);
        if (_plan.Rot && _random.Next(100) == 0)
            RotInspection.Run(this, _disk, _random);
        if (_plan.Ghosts && _random.Next(80) == 0)
            BeginAndVanish();
    }

    private void SetRoom(bool full)
    {
        _full = full && _plan.FullDisk;
        _disk.Faults = _full ? DiskFaults.None with { CapacityBytes = _disk.UsedBytes + _random.Next(3000) } : DiskFaults.None;
    }

    /// <summary>A transactional producer that is never heard of again: its transaction must end by its time-out.</summary>
    private void BeginAndVanish()
    {
        var id = "ghost" + Text(_ghosts++);
        Transactions.Init(id, 1000, -1, -1, (error, producerId, epoch) =>
        {
            if (error != ErrorCode.None)
                return;
            Transactions.Add(id, producerId, epoch, [("tx", 0)], added =>
            {
                if (added != ErrorCode.None)
                    return;
                using var builder = new RecordBatchBuilder
                {
                    ProducerId = producerId, ProducerEpoch = epoch, BaseSequence = 0, Attributes = BatchAttributes.Transactional,
                };
                builder.Add(1_000_000, Encoding.UTF8.GetBytes(id), Encoding.UTF8.GetBytes("boo"));
                var bytes = builder.Build();
                Transactions.Append(producerId, epoch, ("tx", 0), () => Partition("tx", 0).Append(bytes, Now, Marker.None, null, 0).Error);
            });
        });
    }

    /// <summary>Bits flip while the process is away: an index is made again, a damaged checkpoint is told by name.</summary>
    private void RotBetweenLives()
    {
        if (_random.Next(3) == 0 && _disk.FileExists(Checkpoint))
        {
            long length;
            using (var file = _disk.Open(Checkpoint))
                length = file.Length;
            var (at, bit) = (_random.NextInt64(length), _random.Next(8));
            if (IsTaken(Checkpoint, at, bit))
                Violate($"a checkpoint with a flipped bit {bit} at byte {at} was taken");
        }
        if (_random.Next(2) == 0 && JournalRot.Draw("/data/log", _disk, _random) is { } place)
            IsTaken(place.Path, place.At, _random.Next(8));
    }

    /// <summary>
    /// Flips a bit and opens. Refused: by the name of the file, and the bit is flipped back. Taken: it stays, and all must be there in the end.
    /// </summary>
    private bool IsTaken(string path, long at, int bit)
    {
        _disk.FlipBit(path, at, bit);
        try
        {
            Open(new CrashingFileSystem(_disk));
            Store.Abandon();
            return true;
        }
        catch (Exception damage) when (damage is IOException or InvalidDataException)
        {
            if (damage.Message.Contains(path, StringComparison.Ordinal))
                Refusals++;
            else if (_plan.FailedFlush == 0)
                Violate($"{path} with a flipped bit {bit} at byte {at} is not told by name: {damage.Message}");
        }
        _disk.FlipBit(path, at, bit);
        return false;
    }

    /// <summary>
    /// It was damaged, say, and has been moved away, as its message advises. A segment that was being written when the power failed may not be told
    /// from a damaged one without it: that is refused, and the checkpoint is put back.
    /// </summary>
    private void LoseCheckpoint()
    {
        if (!_disk.FileExists(Checkpoint))
            return;
        byte[] bytes;
        using (var file = _disk.Open(Checkpoint))
        {
            bytes = new byte[file.Length];
            file.Read(0, bytes);
        }
        _disk.DeleteFile(Checkpoint);
        _disk.FlushFolder("/data/log");
        try
        {
            Open(new CrashingFileSystem(_disk));
            Store.Abandon();
            return;
        }
        catch (SegmentDamagedException damage) when (damage.Message.Contains("and not in the journal", StringComparison.Ordinal))
        {
            Refusals++;
        }
        catch (IOException) when (_plan.FailedFlush > 0)
        {
            // A flush that was to fail, before there is a checkpoint again.
        }
        using (var file = _disk.Open(Checkpoint, create: true))
        {
            file.SetLength(0);
            file.Write(0, bytes);
            file.Flush();
        }
        _disk.FlushFolder("/data/log");
    }

    private const string Checkpoint = "/data/log/checkpoint";

    private const int DayMillis = 86_400_000;

    /// <summary>As in a broker: a day.</summary>
    private const long ProducerIdleMillis = DayMillis;

    private int _ghosts;

    private void Open(CrashingFileSystem files)
    {
        var options = new BrokerOptions
        {
            DataFolder = "/data/log", Files = files, MaxTransactionTimeout = TimeSpan.FromDays(1), TransactionalIdExpiration = TimeSpan.FromDays(9999),
            ConsumerSessionTimeout = TimeSpan.FromMilliseconds(GroupLedger.SessionMillis), ConsumerHeartbeatInterval = TimeSpan.FromMilliseconds(100),
        };
        Store = null!;
        Store = LogStore.Open(
            new LogStoreOptions
            {
                Folder = "/data/log", Files = files, Inline = true, JournalBytes = _plan.JournalBytes, SpareFromBytes = _plan.JournalBytes / 3, TailBytes = _plan.TailBytes ?? _plan.JournalBytes / 4, Faults = _plan.Faults,
                TopicDefaults = new Dictionary<string, string> { ["segment.bytes"] = "4096", ["retention.ms"] = "-1" },
                NewId = () =>
                {
                    var bytes = new byte[16];
                    _ids.NextBytes(bytes);
                    return new Guid(bytes);
                },
            },
            NullLogger.Instance);
        Store.Create("plain", Partitions, new Dictionary<string, string>());
        Store.Create("tx", Partitions, new Dictionary<string, string>());
        Store.Create("piped", Partitions, new Dictionary<string, string>());
        Store.Create("four", GroupLedger.Partitions, new Dictionary<string, string>());
        Store.Create(AgingProducer.Topic, 1, new Dictionary<string, string> { ["retention.ms"] = Text((int)AgingProducer.RetentionMillis), ["segment.bytes"] = "1024" });
        Store.Create("keyed", 1, new Dictionary<string, string> { ["cleanup.policy"] = "compact", ["min.cleanable.dirty.ratio"] = "0", ["delete.retention.ms"] = "100" });
        Context = new BrokerContext(
            options, Store, SecurityStore.Open(options.Files, options.DataFolder), _time, new BrokerMetrics(NullLogger.Instance), NullLoggerFactory.Instance);
        Groups = new GroupCoordinator(Context);
        Transactions = new TransactionCoordinator(Context, Groups);
    }

    /// <summary>A calm life in which everyone finishes; then all is read.</summary>
    private void LastLife()
    {
        IsLast = true;
        SetRoom(full: false);
        for (var attempt = 0; ; attempt++)
        {
            try
            {
                Open(new CrashingFileSystem(_disk));
                break;
            }
            catch (IOException) when (attempt < 3 && _plan.FailedFlush > 0)
            {
                // The flush that was to fail earlier did so now.
                _disk.Crash();
            }
        }
        for (var round = 0; round < 400; round++)
        {
            _producers.ForEach(p => p.Finish(this));
            _transactors.ForEach(t => t.Finish(this));
            _pipelines.ForEach(p => p.Finish(this));
            Store.Committer.RunCycle();
            _time.Pass(10);
            if (_plan.ClockJumps && round == 5)
                _time.Jump(-3 * DayMillis);
            Transactions.Maintain(Context.Steady);
        }
        if (Store.Committer.Broken is not null)
        {
            // That flush again: once more from the disk.
            _disk.Crash();
            LastLife();
            return;
        }
        foreach (var producer in _producers)
            producer.Check(this);
        foreach (var transactor in _transactors)
            transactor.Check(this);
        _pipelines.ForEach(p => p.Check(this));
        _ledgers.ForEach(l => l.Check(this));
        _aging.Check(this);
        if (Violation is null)
            Store.Dispose();
    }

    /// <summary>All records that a reader of committed records is given.</summary>
    public List<(long Offset, string Key, string? Value)> ReadCommitted(string topic, int index)
    {
        var partition = Partition(topic, index);
        var found = new List<(long, string, string?)>();
        var aborting = new HashSet<long>();
        var end = partition.LastStableOffset;
        for (var offset = partition.LogStart; offset < end;)
        {
            var (buffer, bytes) = partition.Segments.Read(offset, end, 3000, atLeastOne: true);
            if (bytes == 0)
            {
                Violate($"{topic}-{index} cannot be read at {offset} of {end}");
                return found;
            }
            var aborted = partition.AbortedIn(offset, end);
            for (var at = 0; at < bytes;)
            {
                var span = buffer.AsSpan(at, bytes - at);
                var batch = new RecordBatch(span);
                foreach (var range in aborted)
                {
                    if (range.ProducerId == batch.ProducerId && range.FirstOffset <= batch.BaseOffset && range.LastOffset >= batch.LastOffset)
                        aborting.Add(batch.ProducerId);
                }
                if (batch.IsControl)
                    aborting.Remove(batch.ProducerId);
                else if (!batch.IsTransactional || !aborting.Contains(batch.ProducerId))
                    Add(batch, span[..batch.TotalBytes], found);
                at += batch.TotalBytes;
                offset = batch.LastOffset + 1;
            }
        }
        if (end != partition.HighWatermark)
            Violate($"{topic}-{index}: a transaction is open for ever, readers stop at {end} of {partition.HighWatermark}");
        return found;
    }

    private static void Add(RecordBatch batch, ReadOnlySpan<byte> bytes, List<(long, string, string?)> found)
    {
        using var open = RecordBatch.OpenRecords(bytes, 1 << 24);
        var reader = new RecordReader(open.Bytes, batch.RecordCount);
        while (reader.MoveNext())
        {
            var record = reader.Current;
            found.Add((batch.BaseOffset + record.OffsetDelta, Encoding.UTF8.GetString(record.Key), record.HasValue ? Encoding.UTF8.GetString(record.Value) : null));
        }
    }

    public static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
