using System.Buffers;
using System.Buffers.Text;
using System.Text.Json;
using Microsoft.Extensions.Logging;
using Millrace.WebConsole.Seams;
using Millrace.WebConsole.Wire;
using Millrace.Streams.Running;

namespace Millrace.WebConsole.Events;

/// <summary>Builds the bytes of frames. Used by one thread.</summary>
internal sealed partial class FrameBuilder(ConsoleServices services, ConsoleOptions options, TimeProvider time, ILogger log)
{
    private readonly string _boot = time.GetUtcNow().ToUnixTimeMilliseconds().ToString("x");
    private readonly ArrayBufferWriter<byte> _body = new(16 << 10);
    private readonly ArrayBufferWriter<byte> _frame = new(16 << 10);
    private readonly Dictionary<string, byte[]> _pieces = new(StringComparer.Ordinal);
    private readonly Dictionary<string, TimeSpan> _notBefore = new(StringComparer.Ordinal);
    private readonly LiveRows _live = new();
    private static readonly TimeSpan FaultPause = TimeSpan.FromSeconds(5);

    private byte[] _lastOverview = [];
    private long _sequence;

    /// <summary>The newest frame's id: start of the process and sequence.</summary>
    public string LastId => $"{_boot}-{Volatile.Read(ref _sequence)}";

    /// <summary>The newest overview differed from the one before.</summary>
    public bool OverviewChanged { get; private set; }

    /// <summary>An overview frame; null when it says what the last one said, unless <paramref name="evenIfSame"/>.</summary>
    public byte[]? Overview(bool evenIfSame)
    {
        _body.ResetWrittenCount();
        using (var writer = new Utf8JsonWriter(_body, ConsoleJson.Writer))
        {
            var list = services.Jobs.List();
            var infos = new JobInfo[list.Count];
            for (var i = 0; i < infos.Length; i++)
                infos[i] = JobInfos.Of(list[i]);
            JsonSerializer.Serialize(writer, infos, ConsoleJson.Relaxed.JobInfoArray);
        }
        OverviewChanged = !_body.WrittenSpan.SequenceEqual(_lastOverview);
        if (!OverviewChanged && !evenIfSame)
            return null;
        _lastOverview = _body.WrittenSpan.ToArray();
        Begin("overview"u8);
        _frame.Write(",\"process\":"u8);
        using (var writer = new Utf8JsonWriter(_frame, ConsoleJson.Writer))
            JsonSerializer.Serialize(writer, services.Process.Look(), ConsoleJson.Relaxed.ProcessInfo);
        _frame.Write(",\"jobs\":"u8);
        _frame.Write(_lastOverview);
        return End();
    }

    /// <summary>
    /// Live rows of the jobs that changed. A job whose rows are costly to read is postponed so that reading takes at most
    /// <see cref="ConsoleOptions.LiveShare"/> of a core; what nobody watches is forgotten, since whoever joins gets the present rows.
    /// </summary>
    public OutputFrames Outputs(
        IReadOnlyList<string> changed, Predicate<string> watched, Predicate<string> joined, TimeSpan now, out IReadOnlyList<string> postponed)
    {
        var later = new List<string>();
        var built = new List<string>();
        foreach (var name in changed)
        {
            if (!watched(name))
                _pieces.Remove(name);
            else if (_notBefore.TryGetValue(name, out var notBefore) && now < notBefore)
                later.Add(name);
            else if (Build(name, now))
                built.Add(name);
        }
        foreach (var job in services.Jobs.List())
        {
            if (joined(job.Name) && !_pieces.ContainsKey(job.Name))
                Build(job.Name, now);
        }
        postponed = later;
        return new OutputFrames(this, built, [.. _pieces.Keys.Order(StringComparer.Ordinal)]);
    }

    internal byte[]? Compose(IReadOnlyList<string> jobs, string? only)
    {
        var count = 0;
        foreach (var job in jobs)
        {
            if ((only is not null && only != job) || !_pieces.TryGetValue(job, out var piece))
                continue;
            if (count++ == 0)
            {
                Begin("output"u8);
                _frame.Write(",\"jobs\":["u8);
            }
            else
            {
                _frame.Write(","u8);
            }
            _frame.Write(piece);
        }
        if (count == 0)
            return null;
        _frame.Write("]"u8);
        return End();
    }

    /// <summary>Makes the job's piece anew; true when it says something new.</summary>
    private bool Build(string name, TimeSpan now)
    {
        if (services.Jobs.Find(name) is not { Running: { } running } job)
        {
            _notBefore.Remove(name);
            return _pieces.Remove(name);
        }
        var started = time.GetTimestamp();
        _body.ResetWrittenCount();
        try
        {
            using var writer = new Utf8JsonWriter(_body, ConsoleJson.Writer);
            WritePiece(writer, job, running);
        }
        catch (ObjectDisposedException)
        {
            // The job stopped meanwhile; the list of jobs tells soon.
            return _pieces.Remove(name);
        }
        catch (Exception e)
        {
            // This job's live rows cannot be trusted now: they are left out and asked for again later. The other jobs' are not touched.
            LogUnreadable(log, e, name, FaultPause);
            _notBefore[name] = now + FaultPause;
            return _pieces.Remove(name);
        }
        _notBefore[name] = now + (time.GetElapsedTime(started) / options.LiveShare);
        if (_pieces.TryGetValue(name, out var old) && _body.WrittenSpan.SequenceEqual(old))
            return false;
        _pieces[name] = _body.WrittenSpan.ToArray();
        return true;
    }

    private void WritePiece(Utf8JsonWriter writer, JobEntry job, IRunningPipeline running)
    {
        // Counters first: the rows then reflect at least what the counters tell.
        var status = running.Status;
        writer.WriteStartObject();
        writer.WriteString("job"u8, job.Name);
        writer.WriteNumber("checkpoint"u8, status.Checkpoint.Id);
        writer.WriteStartArray("sources"u8);
        foreach (var source in status.Sources)
            WriteSource(writer, source);
        writer.WriteEndArray();
        writer.WriteStartArray("outputs"u8);
        foreach (var output in status.Outputs)
            _live.Write(writer, job, running, output.Name, options.LiveWindows, options.LiveKeys, options.LiveNewest);
        writer.WriteEndArray();
        writer.WriteEndObject();
    }

    private static void WriteSource(Utf8JsonWriter writer, SourceStatus source)
    {
        writer.WriteStartObject();
        writer.WriteString("name"u8, source.Name);
        writer.WriteNumber("in"u8, source.In);
        writer.WriteNumber("good"u8, source.Good);
        writer.WriteNumber("quarantined"u8, source.Quarantined);
        writer.WriteStartArray("offsets"u8);
        foreach (var partition in source.Partitions)
        {
            writer.WriteStartArray();
            writer.WriteNumberValue(partition.Partition);
            writer.WriteNumberValue(partition.NextOffset);
            writer.WriteEndArray();
        }
        writer.WriteEndArray();
        writer.WriteEndObject();
    }

    // WHATWG HTML, 9.2.6 "Interpreting an event stream": fields in lines, an empty line ends the event.
    private void Begin(ReadOnlySpan<byte> kind)
    {
        _sequence++;
        _frame.ResetWrittenCount();
        _frame.Write("event: "u8);
        _frame.Write(kind);
        _frame.Write("\nid: "u8);
        foreach (var c in _boot)
            _frame.Write([(byte)c]);
        _frame.Write("-"u8);
        WriteNumber(_sequence);
        _frame.Write("\ndata: {\"seq\":"u8);
        WriteNumber(_sequence);
        _frame.Write(",\"at\":"u8);
        WriteNumber(time.GetUtcNow().ToUnixTimeMilliseconds());
    }

    private byte[] End()
    {
        _frame.Write("}\n\n"u8);
        return _frame.WrittenSpan.ToArray();
    }

    [LoggerMessage(3, LogLevel.Error, "the live rows of job {Job} cannot be read; tried again after {Pause}")]
    private static partial void LogUnreadable(ILogger log, Exception exception, string job, TimeSpan pause);

    private void WriteNumber(long value)
    {
        var span = _frame.GetSpan(20);
        Utf8Formatter.TryFormat(value, span, out var written);
        _frame.Advance(written);
    }
}

/// <summary>The frames of one turn, composed once for each filter that connections ask for.</summary>
internal sealed class OutputFrames(FrameBuilder builder, IReadOnlyList<string> changed, IReadOnlyList<string> all)
{
    private readonly Dictionary<(bool All, string Job), byte[]?> _composed = [];

    public ReadOnlyMemory<byte>? Changes(string? job) => Frame(false, job);

    public ReadOnlyMemory<byte>? Everything(string? job) => Frame(true, job);

    private ReadOnlyMemory<byte>? Frame(bool everything, string? job)
    {
        // No job has an empty name, so it can stand for all of them.
        var key = (everything, job ?? "");
        if (!_composed.TryGetValue(key, out var frame))
            _composed[key] = frame = builder.Compose(everything ? all : changed, job);
        return frame is null ? null : new ReadOnlyMemory<byte>(frame);
    }
}
