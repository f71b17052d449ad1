using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using Millrace.Streams.Checkpoints;
using Millrace.Streams.Running;

namespace Millrace.Streams.Sinks;

/// <summary>How records are delivered to topics.</summary>
public sealed record DeliveryOptions
{
    /// <summary>First pause after a failed delivery; it doubles up to <see cref="MaxBackoff"/>.</summary>
    public TimeSpan MinBackoff { get; init; } = TimeSpan.FromMilliseconds(200);

    /// <summary>Longest pause between attempts.</summary>
    public TimeSpan MaxBackoff { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// Time that a request which was on its way when its sender died has to arrive before the topic is searched for it. A longer delay in
    /// the network could let a record in twice.
    /// </summary>
    public TimeSpan Settle { get; init; } = TimeSpan.FromSeconds(1);
}

/// <summary>
/// Delivers what checkpoints owe to one topic, in their order, each record once: what a crash or an error left in doubt is looked for
/// in the topic, behind the offsets that the checkpoint noted, before it is sent (again). Runs beside the stream.
/// </summary>
/// <remarks>Thread-safe. The order of deliveries makes every offset that was acknowledged before a barrier a lower bound for its records.</remarks>
internal sealed class TopicDelivery : IAsyncDisposable
{
    private static readonly HashSet<int> Nothing = [];
    private static readonly Dictionary<int, long> FromTheStart = [];

    private readonly Lock _lock = new();
    private readonly Channel<Owed> _queue = Channel.CreateUnbounded<Owed>(new UnboundedChannelOptions { SingleReader = true });
    private readonly Dictionary<int, long> _ends = [];
    private readonly List<OwedRows> _owed = [];
    private readonly List<long> _delivered = [];
    private readonly CancellationTokenSource _stop = new();
    private readonly Context _context;
    private readonly Task _loop;
    private long _deliveredRows;
    private long _refusedRows;
    private long _owedBytes;
    private long _owedRows;
    private string? _trouble;
    private DateTimeOffset? _lastAt;

    /// <param name="context">What to deliver to, and how.</param>
    /// <param name="restored">What the newest durable checkpoint says.</param>
    public TopicDelivery(Context context, TopicCheckpoint? restored)
    {
        _context = context;
        _deliveredRows = restored?.DeliveredRows ?? 0;
        _refusedRows = restored?.RefusedRows ?? 0;
        foreach (var owed in restored?.Owed ?? [])
        {
            foreach (var (partition, end) in owed.Ends)
                _ends[partition] = Math.Max(end, _ends.GetValueOrDefault(partition));
            Enqueue(owed, null, inDoubt: true);
        }
        _loop = Task.Run(RunAsync);
    }

    public string Name => _context.Name;

    /// <summary>Bytes that wait; the stream pauses over its bound.</summary>
    public long OwedBytes
    {
        get
        {
            lock (_lock)
                return _owedBytes;
        }
    }

    /// <summary>Why nothing can be delivered now, or null.</summary>
    public string? Trouble
    {
        get
        {
            lock (_lock)
                return _trouble;
        }
    }

    public (long Delivered, long Owed, DateTimeOffset? LastAt) Progress
    {
        get
        {
            lock (_lock)
                return (_deliveredRows, _owedRows, _lastAt);
        }
    }

    /// <summary>Rows that the topic refused, which are dead letters.</summary>
    public long Refused
    {
        get
        {
            lock (_lock)
                return _refusedRows;
        }
    }

    /// <summary>Something was delivered that the next checkpoint may forget.</summary>
    public bool HasNews
    {
        get
        {
            lock (_lock)
                return _delivered.Count > 0;
        }
    }

    /// <summary>Ends with an exception when a record can never be delivered or the loop met a bug.</summary>
    public Task Completion => _loop;

    /// <summary>Offsets before which no record of a delivery that is yet to be owed can stand.</summary>
    public Dictionary<int, long> LowerBounds()
    {
        lock (_lock)
            return new Dictionary<int, long>(_ends);
    }

    /// <summary>A checkpoint that owes these records is durable: they may go out.</summary>
    public void Enqueue(OwedRows owed, byte[]? records) => Enqueue(owed, records, inDoubt: false);

    /// <summary>What a checkpoint is to say of this topic, and the deliveries that are done since: their rows can be deleted with it.</summary>
    public (TopicCheckpoint Checkpoint, IReadOnlyList<long> Done) Snapshot(OwedRows? added)
    {
        lock (_lock)
        {
            var owed = new List<OwedRows>(_owed);
            if (added is not null)
                owed.Add(added);
            var done = _delivered.ToArray();
            return (new TopicCheckpoint { DeliveredRows = _deliveredRows, RefusedRows = _refusedRows, Owed = owed }, done);
        }
    }

    /// <summary>The checkpoint made from <see cref="Snapshot"/> is durable: those deliveries are forgotten.</summary>
    public void Forget(IReadOnlyList<long> done)
    {
        lock (_lock)
            _delivered.RemoveAll(done.Contains);
    }

    /// <summary>Waits until all that is owed is delivered.</summary>
    public async Task DrainAsync(CancellationToken cancellation)
    {
        _queue.Writer.TryComplete();
        await _loop.WaitAsync(cancellation);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _queue.Writer.TryComplete();
        await _loop.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _context.Port.Dispose();
        _context.DeadLetters?.Dispose();
        _stop.Dispose();
    }

    private void Enqueue(OwedRows owed, byte[]? records, bool inDoubt)
    {
        lock (_lock)
        {
            _owed.Add(owed);
            _owedBytes += owed.Bytes;
            _owedRows += owed.Rows;
        }
        _queue.Writer.TryWrite(new Owed(owed, records, inDoubt));
    }

    private async Task RunAsync()
    {
        try
        {
            if (_context.LearnEnds)
                await LearnEndsAsync();
            await foreach (var item in _queue.Reader.ReadAllAsync(_stop.Token))
                await DeliverAsync(item);
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
        }
        catch (Exception failure)
        {
            _context.Failed(failure);
            throw;
        }
    }

    private async Task LearnEndsAsync()
    {
        var backoff = _context.Options.MinBackoff;
        while (true)
        {
            try
            {
                NoteEnds(_context.Port.Ends(_stop.Token));
                return;
            }
            catch (TopicUnreachableException error)
            {
                if (SetTrouble(error.Message))
                    DeliveryLog.Trouble(_context.Log, _context.Name, error.Message);
                await Task.Delay(backoff, _context.Time, _stop.Token);
                backoff = Longer(backoff);
            }
        }
    }

    private TimeSpan Longer(TimeSpan backoff) => TimeSpan.FromTicks(Math.Min(backoff.Ticks * 2, _context.Options.MaxBackoff.Ticks));

    private async Task DeliverAsync(Owed item)
    {
        var rows = item.Rows;
        var records = item.Records ?? _context.ReadOwed(rows.Checkpoint)
            ?? throw new InvalidDataException($"{_context.Name}: the rows that checkpoint {rows.Checkpoint} owes are not in the state store");
        var mark = new DeliveryMark(_context.Pipeline, _context.Incarnation, rows.Checkpoint);
        IReadOnlySet<int> present = Nothing;
        IReadOnlySet<int> dead = Nothing;
        var inDoubt = item.InDoubt;
        var backoff = _context.Options.MinBackoff;
        while (true)
        {
            try
            {
                if (inDoubt)
                {
                    await Task.Delay(_context.Options.Settle, _context.Time, _stop.Token);
                    present = _context.Port.Scan(mark, rows.Ends, _stop.Token);
                    // What was refused once stays a dead letter, though the topic might take it by now.
                    dead = _context.DeadLetters?.Scan(mark, FromTheStart, _stop.Token) ?? Nothing;
                }
                _context.FailPoints.Hit(StreamFailPoints.BeforeDelivery);
                var refused = await SendAsync(mark, rows, records, dead.Count == 0 ? present : new HashSet<int>(present.Concat(dead)));
                _context.FailPoints.Hit(StreamFailPoints.AfterDelivery);
                Done(rows, dead.Count + refused);
                return;
            }
            catch (TopicUnreachableException error)
            {
                inDoubt = true;
                if (SetTrouble(error.Message))
                    DeliveryLog.Trouble(_context.Log, _context.Name, error.Message);
                await Task.Delay(backoff, _context.Time, _stop.Token);
                backoff = Longer(backoff);
            }
        }
    }

    /// <summary>Sends what is not there yet; what the topic refuses goes among its dead letters. Gives the number of those.</summary>
    private async Task<int> SendAsync(DeliveryMark mark, OwedRows rows, byte[] records, IReadOnlySet<int> skip)
    {
        if (skip.Count >= rows.Rows)
            return 0;
        var acknowledged = new Dictionary<int, long>();
        var refused = _context.DeadLetters is null ? null : new List<RefusedRecord>();
        try
        {
            await _context.Port.SendAsync(mark, records, skip, acknowledged, refused, _stop.Token);
        }
        finally
        {
            NoteEnds(acknowledged);
        }
        if (refused is null or { Count: 0 })
            return 0;
        DeliveryLog.Refused(_context.Log, _context.Name, refused.Count, refused[0].Reason);
        await _context.DeadLetters!.SendDeadAsync(mark, records, refused, _stop.Token);
        return refused.Count;
    }

    private bool SetTrouble(string message)
    {
        lock (_lock)
        {
            var changed = _trouble != message;
            _trouble = message;
            return changed;
        }
    }

    private void NoteEnds(IReadOnlyDictionary<int, long> acknowledged)
    {
        lock (_lock)
        {
            foreach (var (partition, end) in acknowledged)
                _ends[partition] = Math.Max(end, _ends.GetValueOrDefault(partition));
        }
    }

    private void Done(OwedRows rows, int refused)
    {
        lock (_lock)
        {
            _owed.RemoveAll(o => o.Checkpoint == rows.Checkpoint);
            _owedBytes -= rows.Bytes;
            _owedRows -= rows.Rows;
            _deliveredRows += rows.Rows - refused;
            _refusedRows += refused;
            _delivered.Add(rows.Checkpoint);
            _lastAt = _context.Time.GetUtcNow();
            _trouble = null;
        }
    }

    /// <summary>What a delivery works with.</summary>
    internal sealed record Context
    {
        /// <summary>The topic's name, for status and errors.</summary>
        public required string Name { get; init; }

        public required string Pipeline { get; init; }

        public required string Incarnation { get; init; }

        public required ITopicPort Port { get; init; }

        /// <summary>Where records go that the topic refuses; null: values that are too large are cut, others are tried until they are taken.</summary>
        public ITopicPort? DeadLetters { get; init; }

        /// <summary>Reads owed rows back from the state store.</summary>
        public required Func<long, byte[]?> ReadOwed { get; init; }

        public required TimeProvider Time { get; init; }

        public required ILogger Log { get; init; }

        public DeliveryOptions Options { get; init; } = new();

        public StreamFailPoints FailPoints { get; init; } = StreamFailPoints.None;

        /// <summary>Look up the topic's ends before the first delivery is owed, so that it need not be searched for from the topic's start.</summary>
        public bool LearnEnds { get; init; }

        /// <summary>Told once when the delivery cannot go on.</summary>
        public Action<Exception> Failed { get; init; } = _ => { };
    }

    private readonly record struct Owed(OwedRows Rows, byte[]? Records, bool InDoubt);
}

internal static partial class DeliveryLog
{
    [LoggerMessage(Level = LogLevel.Warning, Message = "{Sink} cannot deliver, trying again: {Reason}")]
    public static partial void Trouble(ILogger log, string sink, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Sink} refuses {Count} records, which become dead letters; the first: {Reason}")]
    public static partial void Refused(ILogger log, string sink, int count, string reason);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Sink}: {Done}")]
    public static partial void Upkeep(ILogger log, string sink, string done);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Sink} is written to, its upkeep waits: {Reason}")]
    public static partial void UpkeepTrouble(ILogger log, string sink, string reason);
}
