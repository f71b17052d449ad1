using System.Globalization;
using Millrace.Columnar;
using Millrace.Columnar.Kernels;
using Millrace.Kafka.Clients;
using Millrace.Streams.Checks;
using Millrace.Streams.Checks.Unique;
using Millrace.Streams.Plans;
using Millrace.Streams.Running;

namespace Millrace.Streams.Sources;

/// <summary>A micro-batch split in good rows and refused records.</summary>
/// <param name="Good">The good rows, with the columns of <see cref="SourcePlan.RowSchema"/>; the taker disposes of them.</param>
/// <param name="Rejections">Refused records with all reasons, in the records' order; valid until the next split.</param>
/// <param name="RecordOfRow">The record's index of each good row.</param>
/// <param name="EventTimes">The event time of each good row in microseconds.</param>
internal readonly ref struct FirewallSplit(ColumnBatch good, Rejections rejections, ReadOnlySpan<int> recordOfRow, ReadOnlySpan<long> eventTimes)
{
    public ColumnBatch Good { get; } = good;

    public Rejections Rejections { get; } = rejections;

    public ReadOnlySpan<int> RecordOfRow { get; } = recordOfRow;

    public ReadOnlySpan<long> EventTimes { get; } = eventTimes;
}

/// <summary>
/// The firewall in front of a source: records that cannot be decoded, have no acceptable event time or break a check are refused with
/// every reason; all others go on. good + refused = in, for every record takes exactly one of the two ways. For one thread.
/// </summary>
internal sealed class Firewall : IDisposable
{
    private readonly SourcePlan _plan;
    private readonly StreamOptions _options;
    private readonly IRowDecoder _decoder;
    private readonly RowChecker _checker;
    private readonly Rejections _rejections = new();
    private readonly int _timeColumn;
    private readonly Schema _rowSchema;
    private int[] _recordOfRow = new int[1024];
    private long[] _rowTimestamps = new long[1024];
    private long[] _timestamps = new long[1024];
    private long[] _eventTimes = new long[1024];
    private ulong[] _good = new ulong[16];
    private ulong[] _refused = new ulong[16];
    private int _records;

    public Firewall(SourcePlan plan, StreamOptions options, ClientLogins logins)
    {
        _plan = plan;
        _rowSchema = plan.RowSchema;
        _options = options;
        _decoder = RowDecoder.Of(plan, logins);
        _timeColumn = plan.TimeColumn is null ? -1 : plan.Schema.IndexOf(plan.TimeColumn);
        if (plan.TimeColumn is not null && (_timeColumn < 0 || plan.Schema[_timeColumn].Type.Kind != TypeKind.TimestampTz))
            throw new ArgumentException($"source {plan.Name}: the time column '{plan.TimeColumn}' is no TIMESTAMPTZ column of the schema");
        _checker = RowChecker.Compile(plan.Checks, _rowSchema, options.Unique);
    }

    /// <summary>Kafka timestamps (milliseconds) of the records of this batch.</summary>
    public ReadOnlySpan<long> Timestamps => _timestamps.AsSpan(0, _records);

    /// <summary>What unique checks remember.</summary>
    public IReadOnlyList<UniqueStore> UniqueStores => _checker.UniqueStores;

    /// <summary>Begins a micro-batch of at most so many records.</summary>
    public void Begin(int most)
    {
        _records = 0;
        _rejections.Clear();
        if (_recordOfRow.Length >= most)
            return;
        var size = (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)most);
        _recordOfRow = new int[size];
        _rowTimestamps = new long[size];
        _timestamps = new long[size];
        _eventTimes = new long[size];
        _good = new ulong[(size + 63) / 64];
        _refused = new ulong[_good.Length];
    }

    /// <summary>Records that failed before are tried again: what was looked up for them in vain is looked up anew.</summary>
    public void Forget() => _decoder.Forget();

    /// <summary>Decodes a record; its bytes are not needed afterwards.</summary>
    public void Add(int index, SourceRecord record)
    {
        var timestamp = record.TimestampMillis;
        _timestamps[_records++] = timestamp;
        if (!record.HasValue)
        {
            _rejections.Add(index, "no value", "the record has no value");
            return;
        }
        var row = _decoder.RowCount;
        if (_decoder.TryDecode(record.Value, out var fault))
        {
            _recordOfRow[row] = index;
            _rowTimestamps[row] = timestamp;
            return;
        }
        _rejections.Add(index, fault.Rule, fault.Reason);
    }

    /// <summary>Splits what was added since <see cref="Begin"/>.</summary>
    /// <param name="nowMicros">The clock: event times too far ahead of it are refused.</param>
    /// <param name="watermark">Tells the checks which of their memories are over.</param>
    public FirewallSplit Split(long nowMicros, long watermark)
    {
        if (watermark != WatermarkTracker.None)
            _checker.Advance(watermark);
        using var rows = WithTime(_decoder.Build());
        var count = rows.RowCount;
        var good = _good.AsSpan(0, (count + 63) / 64);
        var refused = _refused.AsSpan(0, good.Length);
        refused.Clear();
        CheckTimes(rows, refused, nowMicros);
        var result = _checker.Check(rows, _eventTimes.AsSpan(0, count), refused);
        if (result.BadCount > 0)
        {
            foreach (var row in result.BadRows())
                Tell(result, row);
        }
        for (var i = 0; i < good.Length; i++)
            good[i] = ~(refused[i] | result.Bad[i]);
        var kept = Selection.CountSelected(good, count);
        if (kept != count)
            Compact(good, count);
        _rejections.Sort();
        return new FirewallSplit(
            kept == count ? rows.Retain() : rows.Filter(good), _rejections, _recordOfRow.AsSpan(0, kept), _eventTimes.AsSpan(0, kept));
    }

    public void Dispose() => _decoder.Dispose();

    private void CheckTimes(ColumnBatch rows, Span<ulong> refused, long nowMicros)
    {
        var latest = nowMicros + (_options.MaxFutureEventTime.Ticks / TimeSpan.TicksPerMicrosecond);
        var column = _timeColumn < 0 ? null : rows[_timeColumn];
        var values = column is null ? default : column.Values<long>();
        for (var row = 0; row < rows.RowCount; row++)
        {
            if (column is not null && column.IsNull(row))
            {
                Refuse(row, refused, $"not_null({_plan.TimeColumn})", $"{_plan.TimeColumn} is null: the row has no event time");
                continue;
            }
            var time = column is null ? _rowTimestamps[row] * 1000 : values[row];
            if (column is null && _rowTimestamps[row] < 0)
                Refuse(row, refused, "event time", "the record has no Kafka timestamp: the row has no event time");
            else if (time > latest)
                Refuse(row, refused, RowFault.InTheFuture, FutureReason(time));
            _eventTimes[row] = time;
        }
    }

    private string FutureReason(long time) => string.Create(
        CultureInfo.InvariantCulture,
        $"event time {_plan.TimeColumn ?? SourcePlan.KafkaTimeColumn} is {TimeText(time)}, more than {_options.MaxFutureEventTime.TotalMinutes:0} minutes ahead of the clock");

    private static string TimeText(long micros) => micros is > -62_135_596_800_000_000 and < 253_402_300_799_999_999
        ? DateTimeOffset.FromUnixTimeMilliseconds(micros / 1000).UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture)
        : micros.ToString(CultureInfo.InvariantCulture) + " us since 1970";

    private void Refuse(int row, Span<ulong> refused, string rule, string reason)
    {
        refused[row >> 6] |= 1UL << (row & 63);
        _rejections.Add(_recordOfRow[row], rule, reason);
    }

    private void Compact(ReadOnlySpan<ulong> good, int count)
    {
        var kept = 0;
        for (var row = 0; row < count; row++)
        {
            if ((good[row >> 6] & (1UL << (row & 63))) == 0)
                continue;
            _recordOfRow[kept] = _recordOfRow[row];
            _eventTimes[kept] = _eventTimes[row];
            kept++;
        }
    }

    private void Tell(CheckResult result, int row)
    {
        var reasons = result.Reasons(row);
        var next = 0;
        for (var rule = 0; rule < _checker.Plans.Count; rule++)
        {
            if (result.Failed(rule, row))
                _rejections.Add(_recordOfRow[row], _checker.Plans[rule].Text, reasons[next++]);
        }
    }

    /// <summary>The batch, with the Kafka timestamps behind its columns where the plan takes event time from them. Takes the batch over.</summary>
    private ColumnBatch WithTime(ColumnBatch rows)
    {
        if (_timeColumn >= 0)
            return rows;
        using (rows)
        {
            var times = ColumnBuffer.Allocate(rows.RowCount * 8L);
            var micros = times.AsSpan<long>(rows.RowCount);
            for (var row = 0; row < micros.Length; row++)
                micros[row] = _rowTimestamps[row] * 1000;
            var column = new Column(DataType.TimestampTz, rows.RowCount, 0, null, null, times);
            return new ColumnBatch(_rowSchema, rows.RowCount, [.. rows.Columns.Select(c => c.Retain()), column]);
        }
    }
}
