namespace Millrace.Storage.Files;

/// <summary>Whole-file writes that a crash leaves either old or new.</summary>
public static class DurableFile
{
    /// <summary>Writes a sibling, flushes it, renames it over <paramref name="path"/> and flushes the folder.</summary>
    public static void Replace(IFileSystem files, string path, ReadOnlySpan<byte> content)
    {
        var temporary = path + ".tmp";
        if (files.FileExists(temporary))
            files.DeleteFile(temporary);
        using (var file = files.Open(temporary, create: true))
        {
            file.Write(0, content);
            file.Flush();
        }
        files.Rename(temporary, path);
        files.FlushFolder(Path.GetDirectoryName(path)!);
    }

    /// <summary>The whole content of a file that must be smaller than <paramref name="most"/> bytes.</summary>
    /// <exception cref="InvalidDataException">The file is larger.</exception>
    public static byte[] ReadAll(IFileSystem files, string path, int most = 256 << 20)
    {
        using var file = files.Open(path);
        if (file.Length > most)
            throw new InvalidDataException($"{path} has {file.Length} bytes, more than the {most} that are read at once");
        var content = new byte[file.Length];
        var read = file.Read(0, content);
        return read == content.Length ? content : content[..read];
    }
}
