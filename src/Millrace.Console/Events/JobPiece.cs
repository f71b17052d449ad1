using System.Buffers;
using Millrace.Streams.Running;

namespace Millrace.WebConsole.Events;

/// <summary>One job's part of output frames: its counters, and each output's rows as last read. Bytes are ready JSON.</summary>
internal sealed class JobPiece
{
    private readonly Dictionary<string, OutputRows> _outputs = new(StringComparer.Ordinal);
    private byte[] _head = [];

    /// <summary>Takes new counters and begins a new frame; true when they differ.</summary>
    public bool TakeHead(ReadOnlySpan<byte> head)
    {
        foreach (var rows in _outputs.Values)
            rows.IsNew = false;
        if (head.SequenceEqual(_head))
            return false;
        _head = head.ToArray();
        return true;
    }

    /// <summary>Drops outputs that are no more.</summary>
    public void Forget(IReadOnlyList<OutputStatus> present)
    {
        foreach (var name in _outputs.Keys)
        {
            if (!present.Any(o => o.Name == name))
                _outputs.Remove(name);
        }
    }

    /// <summary>When an output's rows may be read again.</summary>
    public TimeSpan DueOf(string output) => _outputs.TryGetValue(output, out var rows) ? rows.Due : TimeSpan.Zero;

    /// <summary>Takes rows; true when they differ from the last ones.</summary>
    public bool Take(string output, ReadOnlySpan<byte> json, TimeSpan due)
    {
        if (!_outputs.TryGetValue(output, out var rows))
            _outputs[output] = rows = new OutputRows();
        rows.Due = due;
        if (json.SequenceEqual(rows.Json))
            return false;
        rows.Json = json.ToArray();
        return rows.IsNew = true;
    }

    public void Fail(string output, TimeSpan due) => _outputs[output] = new OutputRows { Due = due };

    /// <param name="everything">All rows; else the new ones.</param>
    public void Write(IBufferWriter<byte> frame, bool everything)
    {
        frame.Write(_head);
        frame.Write(",\"outputs\":["u8);
        var count = 0;
        foreach (var rows in _outputs.Values)
        {
            if (rows.Json.Length == 0 || !(everything || rows.IsNew))
                continue;
            if (count++ > 0)
                frame.Write(","u8);
            frame.Write(rows.Json);
        }
        frame.Write("]}"u8);
    }

    private sealed class OutputRows
    {
        public byte[] Json { get; set; } = [];

        public TimeSpan Due { get; set; }

        public bool IsNew { get; set; }
    }
}
