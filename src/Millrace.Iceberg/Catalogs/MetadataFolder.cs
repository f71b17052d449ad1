using System.Globalization;
using System.Text;
using Millrace.Iceberg.Metadata;
using Millrace.Storage.Files;

namespace Millrace.Iceberg.Catalogs;

/// <summary>A metadata file and its number.</summary>
internal readonly record struct MetadataVersion(int Number, string Path);

/// <summary>
/// A table's <c>metadata</c> folder in the layout that path-based readers open: <c>vN.metadata.json</c>, and <c>version-hint.text</c>
/// with N. The file of the greatest N is current; it comes into being whole, by a rename under the table's lock, and the hint moves
/// after its name is durable.
/// </summary>
/// <remarks>
/// A reader that finds a file beyond the hint has met a commit that was cut off between the two. It may be there by name only, so
/// nobody may act on it before the folder is flushed: a sink would take its checkpoint for delivered and a power failure would
/// undo it.
/// </remarks>
internal sealed class MetadataFolder(IFileSystem files, string folder, int maxBytes)
{
    private const string Hint = "version-hint.text";

    public string Path { get; } = folder;

    public bool Exists => files.FolderExists(Path) && Current() is not null;

    /// <summary>The file that the hint names when no metadata file is left at all: somebody deleted the table's heart. Else null.</summary>
    public string? LostFile() => ReadHint() is { } hint && Current() is null ? PathOf(hint) : null;

    /// <summary>The current file by the hint and by names, or null when there is none.</summary>
    public MetadataVersion? Current() => Find(out _);

    /// <summary>As <see cref="Current"/>, after making sure that a crash cannot take it away again. Call it under the table's lock.</summary>
    public MetadataVersion? CurrentDurable()
    {
        var current = Find(out var isDurable);
        if (current is { } version && !isDurable)
        {
            files.FlushFolder(Path);
            WriteHint(version.Number);
        }
        return current;
    }

    /// <summary>True when the current file's name is known to be durable: nothing needs the lock.</summary>
    public bool IsSettled(out MetadataVersion? current)
    {
        current = Find(out var isDurable);
        return isDurable;
    }

    public TableMetadata Read(MetadataVersion version)
    {
        try
        {
            return TableMetadata.Read(DurableFile.ReadAll(files, version.Path, maxBytes), version.Path);
        }
        catch (InvalidMetadataException error)
        {
            var earlier = PathOf(version.Number - 1);
            throw new InvalidMetadataException(
                error.File, error.Part, error.Reason,
                version.Number > 1 && files.FileExists(earlier)
                    ? $"the state before it is in {earlier}: move the damaged file away and the table continues from there"
                    : "restore the file from a backup",
                error);
        }
    }

    /// <summary>Makes the next version. Call it under the table's lock, having seen <paramref name="current"/> under it.</summary>
    /// <exception cref="CommitConflictException">A foreign writer, who knows nothing of the lock, made that version first.</exception>
    /// <exception cref="CommitStateUnknownException">The disk failed after the name was made.</exception>
    public MetadataVersion Write(MetadataVersion? current, byte[] content, Guid unique)
    {
        var next = (current?.Number ?? 0) + 1;
        var path = PathOf(next);
        var temporary = System.IO.Path.Combine(Path, $"{unique:D}.metadata.json.tmp");
        using (var file = files.Open(temporary, create: true))
        {
            file.Write(0, content);
            file.Flush();
        }
        if (files.FileExists(path))
        {
            files.DeleteFile(temporary);
            throw new CommitConflictException($"{path} was written meanwhile");
        }
        try
        {
            files.Rename(temporary, path);
            files.FlushFolder(Path);
            WriteHint(next);
        }
        catch (IOException error)
        {
            throw new CommitStateUnknownException($"the disk failed while {path} became current: {error.Message}; load the table again and look", error);
        }
        return new MetadataVersion(next, path);
    }

    public string PathOf(int number) =>
        System.IO.Path.Combine(Path, string.Create(CultureInfo.InvariantCulture, $"v{number}.metadata.json"));

    private MetadataVersion? Find(out bool isDurable)
    {
        var hinted = ReadHint();
        isDurable = true;
        if (hinted is { } hint)
        {
            var number = hint;
            if (FileOf(number) is { } path)
            {
                while (FileOf(number + 1) is { } later)
                {
                    number++;
                    path = later;
                }
                isDurable = number == hint;
                return new MetadataVersion(number, path);
            }
        }
        // No hint, or one that points nowhere: the names decide.
        isDurable = false;
        MetadataVersion? newest = null;
        if (!files.FolderExists(Path))
            return null;
        foreach (var name in files.ListFiles(Path))
        {
            if (NumberOf(name) is { } number && (newest is null || number > newest.Value.Number))
                newest = new MetadataVersion(number, System.IO.Path.Combine(Path, name));
        }
        return newest;
    }

    private string? FileOf(int number)
    {
        var path = PathOf(number);
        if (files.FileExists(path))
            return path;
        var packed = path.Replace(".metadata.json", ".gz.metadata.json", StringComparison.Ordinal);
        return files.FileExists(packed) ? packed : null;
    }

    /// <summary>N of vN.metadata.json or N-uuid.metadata.json.</summary>
    internal static int? NumberOf(string name)
    {
        if (!name.EndsWith(".metadata.json", StringComparison.Ordinal))
            return null;
        var digits = name.AsSpan(name.StartsWith('v') ? 1 : 0);
        var length = 0;
        while (length < digits.Length && char.IsAsciiDigit(digits[length]))
            length++;
        return length > 0 && length < digits.Length && digits[length] is '.' or '-'
            && int.TryParse(digits[..length], NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            ? number
            : null;
    }

    private int? ReadHint()
    {
        var path = System.IO.Path.Combine(Path, Hint);
        if (!files.FileExists(path))
            return null;
        var text = Encoding.UTF8.GetString(DurableFile.ReadAll(files, path, 1024)).Trim();
        return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;
    }

    private void WriteHint(int number) => DurableFile.Replace(
        files, System.IO.Path.Combine(Path, Hint), Encoding.ASCII.GetBytes(number.ToString(CultureInfo.InvariantCulture)));
}
