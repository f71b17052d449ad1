using System.Globalization;
using Millrace.Storage.Files;

namespace Millrace.Raft.Log;

/// <summary>One file of the log.</summary>
internal sealed class LogSegment(long sequence, IFile file, SnapshotInfo start) : IDisposable
{
    private FileView? _view;

    public const string Suffix = ".raftlog";

    /// <summary>The file that becomes a segment when its first record is durable.</summary>
    public const string Unnamed = "next.segment";

    public long Sequence => sequence;

    public IFile File => file;

    /// <summary>Where the log ended when the segment began.</summary>
    public SnapshotInfo Start => start;

    /// <summary>Bytes that it has room for.</summary>
    public required int Capacity { get; init; }

    /// <summary>Its zeros are on the disk, so that a flush has nothing to note but the bytes themselves.</summary>
    public bool IsPrepared { get; init; }

    /// <summary>Bytes that are written.</summary>
    public int Length { get; set; }

    /// <summary>Bytes that are flushed.</summary>
    public int Durable { get; set; }

    /// <summary>The largest index of any entry in it.</summary>
    public long LargestIndex { get; set; }

    /// <summary>The content in place, mapped when it is first read; false where the file system maps none.</summary>
    public bool TryView(out ReadOnlySpan<byte> content)
    {
        _view ??= (file as IMappableFile)?.Map();
        content = _view is null ? default : _view.Content;
        return _view is not null;
    }

    public static string NameOf(long sequence) => sequence.ToString("D16", CultureInfo.InvariantCulture) + Suffix;

    public static bool TryParseName(string name, out long sequence)
    {
        sequence = 0;
        return name.EndsWith(Suffix, StringComparison.Ordinal)
            && long.TryParse(name.AsSpan(0, name.Length - Suffix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out sequence);
    }

    public void Dispose()
    {
        _view?.Dispose();
        file.Dispose();
    }
}
