namespace Millrace.Storage.Files;

/// <summary>A file that can be read in place: no copy, no system call.</summary>
public interface IMappableFile
{
    /// <summary>Shows the file at the length it has now, with later writes in it. It must not be shortened while the view lives.</summary>
    FileView Map();
}

/// <summary>A file's content as memory. A page that the disk cannot read ends the process (SIGBUS), where a read would have thrown.</summary>
public abstract class FileView : IDisposable
{
    /// <summary>Valid until the view is disposed of; the caller sees to it that nobody reads then.</summary>
    public abstract ReadOnlySpan<byte> Content { get; }

    public abstract void Dispose();
}
