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
    private readonly FixedTime _time = new();
    private readonly List<SimulatedProducer> _producers = [];
    private readonly List<SimulatedTransactor> _transactors = [];
    private CrashingFileSystem? _crashing;

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
    }

    /// <summary>What was found to be wrong, or null.</summary>
    public string? Violation { get; private set; }

    /// <summary>No answer is lost any more.</summary>
    public bool IsLast { get; private set; }

    public int Acknowledged => _producers.Sum(p => p.Acknowledged.Count);

    public int Committed => _transactors.Sum(t => t.Ends.Count(e => e.Value == TransactionEnd.Committed));

    public LogStore Store { get; private set; } = null!;

    public GroupCoordinator Groups { get; private set; } = null!;

    public TransactionCoordinator Transactions { get; private set; } = null!;

    public long Now => _time.Millis;

    public void Run()
    {
        try
        {
            for (var life = 0; life < _plan.Lives && Violation is null; life++)
                Live();
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
    }

    public Partition Partition(string topic, int index) => Store.Find(topic)!.Partitions[index];

    public void Violate(string what) => Violation ??= what;

    private void Live()
    {
        // Some power failures hit recovery itself, most what comes after.
        var isPowerFailure = _random.NextDouble() < _plan.PowerFailures;
        _crashing = new CrashingFileSystem(_disk, isPowerFailure ? _random.Next(1, _plan.StepsEach * 2) : int.MaxValue);
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
        catch (IOException) when (_plan.FailedFlush > 0)
        {
            // A flush that fails while the log opens: it does not start, and is started again.
        }
        // Without the store there was no life at all.
        Store?.Abandon();
        foreach (var producer in _producers)
            producer.Disconnected();
        foreach (var transactor in _transactors)
            transactor.Disconnected();
        if (isPowerFailure || Store?.Committer.Broken is not null)
            _disk.Crash();
    }

    private void Step()
    {
        _time.Millis += _random.Next(50);
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
            Transactions.Maintain(Now);
        else
            Store.Maintain(Now, long.MaxValue / 2);
    }

    private void Open(CrashingFileSystem files)
    {
        var options = new BrokerOptions { DataFolder = "/data/log", Files = files, MaxTransactionTimeout = TimeSpan.FromDays(1), TransactionalIdExpiration = TimeSpan.FromDays(9999) };
        Store = null!;
        Store = LogStore.Open(
            new LogStoreOptions
            {
                Folder = "/data/log", Files = files, Inline = true, JournalBytes = _plan.JournalBytes, TailBytes = (int)Math.Min(64 << 10, _plan.JournalBytes / 4), Faults = _plan.Faults,
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
        Store.Create("keyed", 1, new Dictionary<string, string> { ["cleanup.policy"] = "compact", ["min.cleanable.dirty.ratio"] = "0", ["delete.retention.ms"] = "100" });
        var context = new BrokerContext(
            options, Store, SecurityStore.Open(options.Files, options.DataFolder), _time, new BrokerMetrics(NullLogger.Instance), NullLoggerFactory.Instance);
        Groups = new GroupCoordinator(context);
        Transactions = new TransactionCoordinator(context, Groups);
    }

    /// <summary>A calm life in which everyone finishes; then all is read.</summary>
    private void LastLife()
    {
        IsLast = true;
        _disk.Faults = DiskFaults.None;
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
            Store.Committer.RunCycle();
            Transactions.Maintain(Now);
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

    private sealed class FixedTime : TimeProvider
    {
        public long Millis { get; set; } = 1_000_000;

        public override DateTimeOffset GetUtcNow() => DateTimeOffset.FromUnixTimeMilliseconds(Millis);

        // Nothing is done by timers here: the simulator says when.
        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) => new NoTimer();

        private sealed class NoTimer : ITimer
        {
            public bool Change(TimeSpan dueTime, TimeSpan period) => true;

            public void Dispose()
            {
            }

            public ValueTask DisposeAsync() => ValueTask.CompletedTask;
        }
    }
}
