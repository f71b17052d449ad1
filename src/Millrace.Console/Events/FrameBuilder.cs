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
    private readonly Dictionary<string, JobPiece> _pieces = new(StringComparer.Ordinal);
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
    /// Counters of the jobs that changed, and live rows as far as they may be read now: reading one output's rows takes at most
    /// <see cref="ConsoleOptions.LiveShare"/> of a core, and rows without windows are read at most each <see cref="ConsoleOptions.LiveNewestEvery"/>.
    /// Jobs with rows that wait are postponed. What nobody watches is forgotten, since whoever joins gets the present rows.
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
            else if (Build(name, now, later))
                built.Add(name);
        }
        foreach (var job in services.Jobs.List())
        {
            if (joined(job.Name) && !_pieces.ContainsKey(job.Name))
                Build(job.Name, now, later);
        }
        postponed = later;
        return new OutputFrames(this, built, [.. _pieces.Keys.Order(StringComparer.Ordinal)]);
    }

    /// <param name="everything">All outputs' rows as last read; else only those that are new since the frame before.</param>
    internal byte[]? Compose(IReadOnlyList<string> jobs, string? only, bool everything)
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
            piece.Write(_frame, everything);
        }
        if (count == 0)
            return null;
        _frame.Write("]"u8);
        return End();
    }

    /// <summary>Makes the job's piece anew; true when it says something new.</summary>
    private bool Build(string name, TimeSpan now, List<string> later)
    {
        if (services.Jobs.Find(name) is not { Running: { } running } job)
            return _pieces.Remove(name);
        // Counters first: the rows then reflect at least what the counters tell.
        var status = running.Status;
        if (!_pieces.TryGetValue(name, out var piece))
            _pieces[name] = piece = new JobPiece();
        _body.ResetWrittenCount();
        using (var writer = new Utf8JsonWriter(_body, ConsoleJson.Writer))
            WriteHead(writer, job.Name, status);
        var news = piece.TakeHead(_body.WrittenSpan);
        piece.Forget(status.Outputs);
        foreach (var output in status.Outputs)
        {
            if (piece.DueOf(output.Name) > now)
            {
                if (!later.Contains(name))
                    later.Add(name);
            }
            else
            {
                news |= Read(piece, job, running, output.Name, now);
            }
        }
        return news;
    }

    private bool Read(JobPiece piece, JobEntry job, IRunningPipeline running, string output, TimeSpan now)
    {
        var started = time.GetTimestamp();
        _body.ResetWrittenCount();
        bool windowed;
        try
        {
            using var writer = new Utf8JsonWriter(_body, ConsoleJson.Writer);
            if (_live.Write(writer, job, running, output, options.LiveWindows, options.LiveKeys, options.LiveNewest) is not { } shape)
                return false;
            windowed = shape.Window >= 0;
        }
        catch (ObjectDisposedException)
        {
            // The job stopped meanwhile; the list of jobs tells soon.
            return false;
        }
        catch (Exception e)
        {
            // This output's live rows cannot be trusted now: they are left out and asked for again later. The others are not touched.
            LogUnreadable(log, e, job.Name, output, FaultPause);
            piece.Fail(output, now + FaultPause);
            return false;
        }
        var pause = time.GetElapsedTime(started) / options.LiveShare;
        if (!windowed && pause < options.LiveNewestEvery)
            pause = options.LiveNewestEvery;
        return piece.Take(output, _body.WrittenSpan, now + pause);
    }

    /// <summary>All but the outputs and the closing brace.</summary>
    private static void WriteHead(Utf8JsonWriter writer, string job, PipelineStatus status)
    {
        writer.WriteStartObject();
        writer.WriteString("job"u8, job);
        writer.WriteNumber("checkpoint"u8, status.Checkpoint.Id);
        writer.WriteStartArray("sources"u8);
        foreach (var source in status.Sources)
            WriteSource(writer, source);
        writer.WriteEndArray();
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

    [LoggerMessage(3, LogLevel.Error, "the live rows of {Output} in job {Job} cannot be read; tried again after {Pause}")]
    private static partial void LogUnreadable(ILogger log, Exception exception, string job, string output, TimeSpan pause);

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
            _composed[key] = frame = builder.Compose(everything ? all : changed, job, everything);
        return frame is null ? null : new ReadOnlyMemory<byte>(frame);
    }
}
