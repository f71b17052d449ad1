using System.Buffers.Binary;

namespace Millrace.Coordination.Bolt;

/// <summary>What a page holds.</summary>
internal enum BoltPageKind : ushort
{
    Branch = 0x01,
    Leaf = 0x02,
    Meta = 0x04,
    FreeList = 0x10,
}

/// <summary>One of the two first pages: where everything else is. The one with the higher transaction that is whole counts.</summary>
internal readonly record struct BoltMeta(int PageBytes, ulong Root, ulong FreeList, ulong Pages, ulong Transaction);

/// <summary>
/// The file format of bbolt, version 2, in which etcd keeps its database: pages of a fixed size, two of them metas, the others nodes of B+ trees
/// whose leaves hold keys with values or with further trees ("buckets"). All numbers are little-endian.
/// </summary>
/// <remarks>Facts from etcd-io/bbolt, internal/common/page.go, meta.go, bucket.go, inode.go and tx_check.go; docs/decisions, "A bbolt file of our own".</remarks>
internal static class BoltFormat
{
    /// <summary>Of what we write; what is read may have any power of two in these bounds.</summary>
    public const int PageBytes = 4096;
    public const int MinPageBytes = 1024;
    public const int MaxPageBytes = 16 << 20;

    /// <summary>id u64, kind u16, count u16, overflow u32.</summary>
    public const int PageHeaderBytes = 16;

    /// <summary>In a leaf flags, position, key bytes, value bytes, each u32; in a branch position and key bytes u32, page u64. Positions count from the element.</summary>
    public const int ElementBytes = 16;

    /// <summary>The value of a bucket: root page u64 (0: the root follows right here), sequence u64.</summary>
    public const int BucketHeaderBytes = 16;
    public const uint BucketFlag = 0x01;

    /// <summary>Says that the list of free pages is in no page.</summary>
    public const ulong NoFreeList = ulong.MaxValue;
    public const int MetaBytes = 64;
    private const uint Magic = 0xED0CDAED;
    private const uint Version = 2;
    private const int ChecksumAt = 56;

    public static void WritePageHeader(Span<byte> page, ulong id, BoltPageKind kind, int count, uint overflow)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(page, id);
        BinaryPrimitives.WriteUInt16LittleEndian(page[8..], (ushort)kind);
        BinaryPrimitives.WriteUInt16LittleEndian(page[10..], (ushort)count);
        BinaryPrimitives.WriteUInt32LittleEndian(page[12..], overflow);
    }

    /// <summary>A whole meta page.</summary>
    public static void WriteMeta(Span<byte> page, in BoltMeta meta)
    {
        page.Clear();
        WritePageHeader(page, meta.Transaction % 2, BoltPageKind.Meta, 0, 0);
        var body = page.Slice(PageHeaderBytes, MetaBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(body, Magic);
        BinaryPrimitives.WriteUInt32LittleEndian(body[4..], Version);
        BinaryPrimitives.WriteUInt32LittleEndian(body[8..], (uint)meta.PageBytes);
        BinaryPrimitives.WriteUInt64LittleEndian(body[16..], meta.Root);
        BinaryPrimitives.WriteUInt64LittleEndian(body[32..], meta.FreeList);
        BinaryPrimitives.WriteUInt64LittleEndian(body[40..], meta.Pages);
        BinaryPrimitives.WriteUInt64LittleEndian(body[48..], meta.Transaction);
        BinaryPrimitives.WriteUInt64LittleEndian(body[ChecksumAt..], Fnv(body[..ChecksumAt]));
    }

    /// <summary>Null when this is no meta, one of another version, or damaged.</summary>
    public static BoltMeta? ReadMeta(ReadOnlySpan<byte> page)
    {
        if (page.Length < PageHeaderBytes + MetaBytes)
            return null;
        var body = page.Slice(PageHeaderBytes, MetaBytes);
        var pageBytes = BinaryPrimitives.ReadUInt32LittleEndian(body[8..]);
        if (BinaryPrimitives.ReadUInt32LittleEndian(body) != Magic || BinaryPrimitives.ReadUInt32LittleEndian(body[4..]) != Version
            || BinaryPrimitives.ReadUInt64LittleEndian(body[ChecksumAt..]) != Fnv(body[..ChecksumAt])
            || pageBytes is < MinPageBytes or > MaxPageBytes || (pageBytes & (pageBytes - 1)) != 0)
            return null;
        return new BoltMeta(
            (int)pageBytes, BinaryPrimitives.ReadUInt64LittleEndian(body[16..]), BinaryPrimitives.ReadUInt64LittleEndian(body[32..]),
            BinaryPrimitives.ReadUInt64LittleEndian(body[40..]), BinaryPrimitives.ReadUInt64LittleEndian(body[48..]));
    }

    /// <summary>FNV-1a of 64 bits (Fowler, Noll and Vo).</summary>
    private static ulong Fnv(ReadOnlySpan<byte> bytes)
    {
        var hash = 14695981039346656037UL;
        foreach (var b in bytes)
            hash = (hash ^ b) * 1099511628211UL;
        return hash;
    }
}
