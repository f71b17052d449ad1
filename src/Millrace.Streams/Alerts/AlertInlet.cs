using System.Buffers;
using System.Text;
using Millrace.Columnar;
using Millrace.Columnar.Json;
using Millrace.DuckDb;
using Millrace.Streams.Checkpoints;
using Millrace.Streams.Plans;

namespace Millrace.Streams.Alerts;

/// <summary>Judges an output's rows by an alert's condition in DuckDB, and gathers what is to be told. For the stream's thread.</summary>
internal sealed class AlertInlet : IDisposable
{
    private readonly DuckDbConnection _connection;
    private readonly BatchTable _rows;
    private readonly DuckDbStatement _statement;
    private readonly JsonRowWriter _detail;
    private readonly int[] _key;
    private readonly Schema _schema;
    private readonly ArrayBufferWriter<byte> _text = new(512);
    private readonly List<AlertNotice> _owed;
    private long _sequence;

    /// <param name="plan">The alert.</param>
    /// <param name="schema">The output's columns.</param>
    /// <param name="keys">Those of them that tell series apart.</param>
    /// <exception cref="DuckDbException">The condition is refused.</exception>
    public AlertInlet(AlertPlan plan, Schema schema, IReadOnlyList<string> keys, DuckDbDatabase database, int maxKeys, TimeSpan silence, AlertCheckpoint? restored)
    {
        Tracker = new AlertTracker(plan, maxKeys, silence, restored);
        _schema = schema;
        _key = keys.Select(schema.IndexOf).Where(i => i >= 0).ToArray();
        _detail = new JsonRowWriter(schema);
        _owed = [.. restored?.Owed ?? []];
        _sequence = restored?.LastSequence ?? 0;
        _connection = database.Connect();
        _rows = _connection.RegisterBatches("rows", schema);
        _statement = _connection.Prepare($"SELECT coalesce(CAST(({plan.Condition}) AS BOOLEAN), false) FROM rows");
    }

    public AlertTracker Tracker { get; }

    /// <summary>Notices that are not known to be told.</summary>
    public IReadOnlyList<AlertNotice> Owed => _owed;

    /// <summary>Judges the rows of one closed window, or of one batch where there are no windows.</summary>
    public void Observe(ColumnBatch batch, long startMicros, long endMicros)
    {
        _rows.Set(batch);
        try
        {
            using var result = _statement.Execute();
            using var verdicts = result.ReadAll();
            Tracker.Observe(startMicros, endMicros, Verdicts(batch, verdicts[0]), row => DetailOf(batch, row), () => ++_sequence, _owed);
        }
        finally
        {
            _rows.Clear();
        }
    }

    /// <summary>What a checkpoint is to say, without the notices that were told.</summary>
    public AlertCheckpoint Checkpoint(Func<AlertNotice, bool> told)
    {
        _owed.RemoveAll(n => told(n));
        return new AlertCheckpoint { Keys = [.. Tracker.Keys], Owed = [.. _owed], LastSequence = _sequence };
    }

    public void Dispose()
    {
        _statement.Dispose();
        _rows.Dispose();
        _connection.Dispose();
    }

    private IEnumerable<AlertVerdict> Verdicts(ColumnBatch batch, Column holds)
    {
        for (var row = 0; row < batch.RowCount; row++)
            yield return new AlertVerdict(KeyOf(batch, row), holds.GetBoolean(row), row);
    }

    private string KeyOf(ColumnBatch batch, int row)
    {
        if (_key.Length == 0)
            return "";
        _text.ResetWrittenCount();
        for (var i = 0; i < _key.Length; i++)
        {
            _text.Write(i == 0 ? "{"u8 : ","u8);
            _text.Write(Encoding.UTF8.GetBytes($"\"{System.Text.Json.JsonEncodedText.Encode(_schema[_key[i]].Name)}\":"));
            JsonRowWriter.WriteValue(batch[_key[i]], row, _text);
        }
        _text.Write("}"u8);
        return Encoding.UTF8.GetString(_text.WrittenSpan);
    }

    private string DetailOf(ColumnBatch batch, int row)
    {
        _text.ResetWrittenCount();
        _detail.Write(batch, row, _text);
        return Encoding.UTF8.GetString(_text.WrittenSpan);
    }
}
