using System.Buffers.Binary;
using Millrace.Storage.Checksums;
using Millrace.Storage.Files;

namespace Millrace.Raft.Log;

/// <summary>
/// Term and vote twice more, in two sectors of a file of their own, durable before the log's record of them is. They are only read when the
/// log is damaged: a member that may have lost its entries can ask for them again, but one that does not know its term could vote twice.
/// </summary>
internal sealed class HardStateCopies(IFileSystem files, string folder)
{
    private const string FileName = "votes";
    private const int SlotBytes = 24;
    private const int SecondSlot = 4096;
    private const uint Magic = 0x5456524D; // "MRVT"
    private readonly string _path = Path.Combine(folder, FileName);
    private HardState? _written;

    /// <summary>The newest of which a copy is whole; null when there is none.</summary>
    public HardState? Read()
    {
        if (!files.FileExists(_path))
            return null;
        using var file = files.Open(_path);
        HardState? newest = null;
        Span<byte> slot = stackalloc byte[SlotBytes];
        foreach (var offset in (ReadOnlySpan<int>)[0, SecondSlot])
        {
            if (file.Read(offset, slot) < SlotBytes || BinaryPrimitives.ReadUInt32LittleEndian(slot) != Magic
                || BinaryPrimitives.ReadUInt32LittleEndian(slot[4..]) != Checksum(slot, offset))
                continue;
            var state = LogPayloads.ReadHardState(slot[8..]);
            if (newest is not { } best || state.Term > best.Term || (state.Term == best.Term && best.Vote.IsNone))
                newest = state;
        }
        return newest;
    }

    /// <summary>Returns when both copies are durable.</summary>
    public void Write(HardState state)
    {
        if (_written == state)
            return;
        var isNew = !files.FileExists(_path);
        using (var file = files.Open(_path, create: true))
        {
            Span<byte> slot = stackalloc byte[SlotBytes];
            foreach (var offset in (ReadOnlySpan<int>)[0, SecondSlot])
            {
                BinaryPrimitives.WriteUInt32LittleEndian(slot, Magic);
                LogPayloads.WriteHardState(slot[8..], state);
                BinaryPrimitives.WriteUInt32LittleEndian(slot[4..], Checksum(slot, offset));
                file.Write(offset, slot);
            }
            file.Flush();
        }
        if (isNew)
            files.FlushFolder(folder);
        _written = state;
    }

    private static uint Checksum(ReadOnlySpan<byte> slot, int offset) => Crc32C.Compute(slot[8..SlotBytes], (uint)offset);
}
