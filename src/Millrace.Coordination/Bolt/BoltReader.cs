using System.Buffers.Binary;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Millrace.Coordination.Bolt;

/// <summary>
/// Reads a bbolt database and trusts nothing in it: every page must be the page it is said to be, every element lie in its page, keys ascend, and no page
/// be met more often than a tree can have it.
/// </summary>
/// <remarks>Not thread-safe. Keeps one page of each level of the tree in memory.</remarks>
internal sealed class BoltReader : IDisposable
{
    /// <summary>Trees of this fan-out are at most a handful of levels; a chain of branches that is longer goes in circles.</summary>
    private const int MaxDepth = 32;

    /// <summary>The largest node, a page with all that overflows: one key with its value.</summary>
    private const long MaxNodeBytes = 512L << 20;
    private readonly SafeFileHandle _file;
    private readonly string _path;
    private readonly long _bytes;
    private readonly BoltMeta _meta;

    /// <param name="path">For errors too.</param>
    /// <param name="bytes">The database ends here; the file may go on.</param>
    /// <exception cref="InvalidDataException">Neither meta page is whole.</exception>
    public BoltReader(string path, long bytes)
    {
        _path = path;
        _bytes = bytes;
        _file = File.OpenHandle(path);
        try
        {
            _meta = FindMeta();
        }
        catch
        {
            _file.Dispose();
            throw;
        }
    }

    /// <summary>Walks a bucket of the root in order of keys; what is given is good until the next step. Nothing when there is no such bucket.</summary>
    /// <exception cref="InvalidDataException">The database is damaged; says where and how.</exception>
    public IEnumerable<(ReadOnlyMemory<byte> Key, ReadOnlyMemory<byte> Value)> Bucket(string name)
    {
        var wanted = Encoding.ASCII.GetBytes(name);
        var budget = new Budget(_meta.Pages);
        foreach (var item in Walk(_meta.Root, 0, budget))
        {
            if (!item.Key.Span.SequenceEqual(wanted))
                continue;
            if (item.Flags != BoltFormat.BucketFlag || item.Value.Length < BoltFormat.BucketHeaderBytes)
                throw Damaged($"\"{name}\" is no bucket");
            var root = BinaryPrimitives.ReadUInt64LittleEndian(item.Value.Span);
            // A small bucket is kept whole in the value.
            var items = root == 0 ? WalkLeaf(item.Value[BoltFormat.BucketHeaderBytes..], 0) : Walk(root, 0, budget);
            var last = Array.Empty<byte>();
            foreach (var found in items)
            {
                if (found.Key.Span.SequenceCompareTo(last) <= 0)
                    throw Damaged($"the keys of bucket \"{name}\" do not ascend");
                last = found.Key.ToArray();
                yield return (found.Key, found.Value);
            }
            yield break;
        }
    }

    public void Dispose() => _file.Dispose();

    private IEnumerable<Item> Walk(ulong id, int depth, Budget budget)
    {
        if (depth >= MaxDepth)
            throw Damaged($"page {id} is {depth} levels down: the tree goes in circles");
        var node = ReadNode(id, budget);
        var kind = (BoltPageKind)BinaryPrimitives.ReadUInt16LittleEndian(node.Span[8..]);
        if (kind == BoltPageKind.Leaf)
        {
            foreach (var item in WalkLeaf(node, id))
                yield return item;
            yield break;
        }
        if (kind != BoltPageKind.Branch)
            throw Damaged($"page {id} is of kind {(ushort)kind:x}, neither branch nor leaf");
        var count = Count(node, id);
        for (var i = 0; i < count; i++)
        {
            var child = BinaryPrimitives.ReadUInt64LittleEndian(node.Span[(BoltFormat.PageHeaderBytes + (i * BoltFormat.ElementBytes) + 8)..]);
            foreach (var item in Walk(child, depth + 1, budget))
                yield return item;
        }
    }

    private IEnumerable<Item> WalkLeaf(ReadOnlyMemory<byte> node, ulong id)
    {
        if (node.Length < BoltFormat.PageHeaderBytes)
            throw Damaged("a bucket kept in its parent is cut short");
        var count = Count(node, id);
        for (var i = 0; i < count; i++)
        {
            var at = BoltFormat.PageHeaderBytes + (i * BoltFormat.ElementBytes);
            var element = node.Span.Slice(at, BoltFormat.ElementBytes);
            var flags = BinaryPrimitives.ReadUInt32LittleEndian(element);
            long from = at + (long)BinaryPrimitives.ReadUInt32LittleEndian(element[4..]);
            long keyBytes = BinaryPrimitives.ReadUInt32LittleEndian(element[8..]);
            long valueBytes = BinaryPrimitives.ReadUInt32LittleEndian(element[12..]);
            if (keyBytes == 0 || from + keyBytes + valueBytes > node.Length)
                throw Damaged($"element {i} of page {id} is empty or goes beyond its page");
            yield return new Item(flags, node.Slice((int)from, (int)keyBytes), node.Slice((int)(from + keyBytes), (int)valueBytes));
        }
    }

    private int Count(ReadOnlyMemory<byte> node, ulong id)
    {
        int count = BinaryPrimitives.ReadUInt16LittleEndian(node.Span[10..]);
        return BoltFormat.PageHeaderBytes + (count * BoltFormat.ElementBytes) <= node.Length
            ? count
            : throw Damaged($"page {id} has {count} elements, more than fit");
    }

    /// <summary>A page and those that it overflows into.</summary>
    private ReadOnlyMemory<byte> ReadNode(ulong id, Budget budget)
    {
        if (id < 2 || id >= _meta.Pages)
            throw Damaged($"page {id} is not one of its {_meta.Pages} pages");
        var header = new byte[BoltFormat.PageHeaderBytes];
        ReadAt(header, id);
        if (BinaryPrimitives.ReadUInt64LittleEndian(header) != id)
            throw Damaged($"page {id} says that it is page {BinaryPrimitives.ReadUInt64LittleEndian(header)}");
        var pages = 1 + (ulong)BinaryPrimitives.ReadUInt32LittleEndian(header.AsSpan(12));
        if (pages > _meta.Pages - id || (long)pages * _meta.PageBytes > MaxNodeBytes)
            throw Damaged($"page {id} goes on for {pages} pages, beyond the file or {MaxNodeBytes >> 20} MiB");
        if (!budget.Take(pages))
            throw Damaged($"page {id} is met again: more pages are referred to than there are");
        var node = new byte[(int)pages * _meta.PageBytes];
        ReadAt(node, id);
        return node;
    }

    private void ReadAt(Span<byte> buffer, ulong page)
    {
        var offset = (long)page * _meta.PageBytes;
        while (buffer.Length > 0)
        {
            var read = RandomAccess.Read(_file, buffer, offset);
            if (read == 0)
                throw Damaged($"it ends in page {page}");
            buffer = buffer[read..];
            offset += read;
        }
    }

    private BoltMeta FindMeta()
    {
        var first = MetaAt(0);
        BoltMeta? second = null;
        if (first is { } known)
            second = MetaAt(known.PageBytes);
        // Without the first it is not known where the second is: bbolt tries the same places.
        for (var size = BoltFormat.MinPageBytes; first is null && second is null && size <= BoltFormat.MaxPageBytes; size *= 2)
            second = MetaAt(size) is { } found && found.PageBytes == size ? found : null;
        var meta = (first, second) switch
        {
            ({ } a, { } b) => a.Transaction >= b.Transaction ? a : b,
            ({ } a, null) => a,
            (null, { } b) => b,
            _ => throw new InvalidDataException($"{_path} is no bbolt database, or both of its meta pages are damaged"),
        };
        if (meta.Pages > (ulong)(_bytes / meta.PageBytes))
            throw Damaged($"it has {_bytes / meta.PageBytes} pages of {meta.PageBytes} bytes, and should have {meta.Pages}");
        return meta;
    }

    private BoltMeta? MetaAt(long offset)
    {
        var buffer = new byte[BoltFormat.PageHeaderBytes + BoltFormat.MetaBytes];
        return offset + buffer.Length <= _bytes && RandomAccess.Read(_file, buffer, offset) == buffer.Length ? BoltFormat.ReadMeta(buffer) : null;
    }

    private InvalidDataException Damaged(string how) => new($"{_path} is damaged: {how}");

    private readonly record struct Item(uint Flags, ReadOnlyMemory<byte> Key, ReadOnlyMemory<byte> Value);

    /// <summary>A tree meets each page once at most.</summary>
    private sealed class Budget(ulong pages)
    {
        private ulong _left = pages;

        public bool Take(ulong count)
        {
            if (count > _left)
                return false;
            _left -= count;
            return true;
        }
    }
}
