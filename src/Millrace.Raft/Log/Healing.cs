using System.Buffers.Binary;
using System.Text;
using Millrace.Storage.Checksums;
using Millrace.Storage.Files;

namespace Millrace.Raft.Log;

/// <summary>
/// A member lost what it may have acknowledged: it votes for nobody until a leader of <see cref="Term"/> or later, which others elected without
/// it, has given it all that is committed (after Alagappan and others: Protocol-Aware Recovery for Consensus-Based Storage, 2018).
/// </summary>
/// <param name="Term">Later than any that the member ever voted or acknowledged in, so that no old word of it counts any more.</param>
/// <param name="Damage">What was found, with its place.</param>
public sealed record Healing(long Term, string Damage)
{
    private const string FileName = "healing";

    internal static Healing? Read(IFileSystem files, string folder)
    {
        var path = Path.Combine(folder, FileName);
        if (!files.FileExists(path))
            return null;
        var content = DurableFile.ReadAll(files, path, 1 << 20).AsSpan();
        if (content.Length < 12 || BinaryPrimitives.ReadUInt32LittleEndian(content) != Crc32C.Compute(content[4..]))
            throw new LogCorruptException(path, 0, "it says since when the member may not vote, and is not whole");
        return new Healing(BinaryPrimitives.ReadInt64LittleEndian(content[4..]), Encoding.UTF8.GetString(content[12..]));
    }

    internal void Write(IFileSystem files, string folder)
    {
        var content = new byte[12 + Encoding.UTF8.GetByteCount(Damage)];
        BinaryPrimitives.WriteInt64LittleEndian(content.AsSpan(4), Term);
        Encoding.UTF8.GetBytes(Damage, content.AsSpan(12));
        BinaryPrimitives.WriteUInt32LittleEndian(content, Crc32C.Compute(content.AsSpan(4)));
        DurableFile.Replace(files, Path.Combine(folder, FileName), content);
    }

    internal static void Delete(IFileSystem files, string folder)
    {
        files.DeleteFile(Path.Combine(folder, FileName));
        files.FlushFolder(folder);
    }
}
