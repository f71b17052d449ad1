using System.Buffers.Binary;

namespace Millrace.Coordination.Bolt;

/// <summary>
/// Writes a bbolt database from its first key to its last: buckets in bytewise order, in each the keys in bytewise order. Pages are full and follow each
/// other, so that none is free; only the metas are written twice, at the end.
/// </summary>
/// <remarks>Holds one page of each level of the tree being written: memory is independent of what is written, but for one key for each page of leaves
/// that has no branch above it yet.</remarks>
internal sealed class BoltWriter
{
    private const ulong FreeListPage = 2;
    private readonly Stream _target;
    private readonly List<(byte[] Name, ulong Root)> _buckets = [];
    private readonly NodeBuffer _leaf = new(BoltPageKind.Leaf);
    private readonly byte[] _page = new byte[BoltFormat.PageBytes];
    private List<Child> _children = [];
    private byte[] _last = [];
    private byte[]? _bucket;
    private ulong _next = FreeListPage + 1;

    /// <param name="target">Empty, and can be sought in; the caller's to close.</param>
    public BoltWriter(Stream target)
    {
        _target = target;
        _target.Write(_page); // The metas come last, in these places.
        _target.Write(_page);
        BoltFormat.WritePageHeader(_page, FreeListPage, BoltPageKind.FreeList, 0, 0);
        _target.Write(_page);
    }

    /// <summary>Ends the bucket before and begins this one.</summary>
    /// <exception cref="ArgumentException">It does not come after the one before.</exception>
    public void BeginBucket(ReadOnlySpan<byte> name)
    {
        EndBucket();
        if (_buckets.Count > 0 && name.SequenceCompareTo(_buckets[^1].Name) <= 0)
            throw new ArgumentException("buckets are to be written in bytewise order", nameof(name));
        _bucket = name.ToArray();
        _last = [];
    }

    /// <exception cref="ArgumentException">The key is empty or does not come after the one before.</exception>
    public void Add(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value)
    {
        if (key.SequenceCompareTo(_last) <= 0)
            throw new ArgumentException("keys are to be written in bytewise order, and none is empty", nameof(key));
        _last = key.ToArray();
        if (!_leaf.Fits(key.Length + value.Length))
            FlushLeaf();
        _leaf.AddLeaf(0, key, value);
    }

    /// <summary>Writes what is left: the root and the metas.</summary>
    public void Complete()
    {
        EndBucket();
        Span<byte> header = stackalloc byte[BoltFormat.BucketHeaderBytes];
        foreach (var (name, root) in _buckets)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(header, root);
            if (!_leaf.Fits(name.Length + header.Length))
                FlushLeaf();
            _leaf.AddLeaf(BoltFormat.BucketFlag, name, header);
        }
        var top = FlushTree();
        var meta = new BoltMeta(BoltFormat.PageBytes, top, FreeListPage, _next, 1);
        _target.Position = 0;
        BoltFormat.WriteMeta(_page, meta with { Transaction = 0 });
        _target.Write(_page);
        BoltFormat.WriteMeta(_page, meta);
        _target.Write(_page);
        _target.Position = (long)_next * BoltFormat.PageBytes;
    }

    private void EndBucket()
    {
        if (_bucket is null)
            return;
        _buckets.Add((_bucket, FlushTree()));
        _bucket = null;
    }

    private void FlushLeaf()
    {
        _children.Add(new Child(_leaf.FirstKey, _next));
        Flush(_leaf);
    }

    /// <summary>The root of the tree whose leaves were written.</summary>
    private ulong FlushTree()
    {
        if (_leaf.Count > 0 || _children.Count == 0)
            FlushLeaf();
        while (_children.Count > 1)
        {
            var above = new List<Child>();
            var branch = new NodeBuffer(BoltPageKind.Branch);
            foreach (var child in _children)
            {
                if (!branch.Fits(child.FirstKey.Length))
                {
                    above.Add(new Child(branch.FirstKey, _next));
                    Flush(branch);
                }
                branch.AddBranch(child.FirstKey, child.Page);
            }
            above.Add(new Child(branch.FirstKey, _next));
            Flush(branch);
            _children = above;
        }
        var root = _children[0].Page;
        _children = [];
        return root;
    }

    private void Flush(NodeBuffer node) => _next += node.WriteTo(_target, _next);

    private readonly record struct Child(byte[] FirstKey, ulong Page);

    /// <summary>A node under way: its elements, and the bytes of keys and values that follow them.</summary>
    private sealed class NodeBuffer(BoltPageKind kind)
    {
        private byte[] _elements = new byte[BoltFormat.PageBytes];
        private byte[] _data = new byte[BoltFormat.PageBytes];
        private int _dataBytes;

        public int Count { get; private set; }

        public byte[] FirstKey { get; private set; } = [];

        /// <summary>A node with one element may be larger than a page: it takes the pages after it too.</summary>
        public bool Fits(int bytes) =>
            Count == 0 || BoltFormat.PageHeaderBytes + ((Count + 1) * BoltFormat.ElementBytes) + _dataBytes + bytes <= BoltFormat.PageBytes;

        public void AddLeaf(uint flags, ReadOnlySpan<byte> key, ReadOnlySpan<byte> value)
        {
            var element = NextElement(key);
            BinaryPrimitives.WriteUInt32LittleEndian(element, flags);
            BinaryPrimitives.WriteUInt32LittleEndian(element[4..], (uint)_dataBytes);
            BinaryPrimitives.WriteUInt32LittleEndian(element[8..], (uint)key.Length);
            BinaryPrimitives.WriteUInt32LittleEndian(element[12..], (uint)value.Length);
            Append(key);
            Append(value);
        }

        public void AddBranch(ReadOnlySpan<byte> key, ulong page)
        {
            var element = NextElement(key);
            BinaryPrimitives.WriteUInt32LittleEndian(element, (uint)_dataBytes);
            BinaryPrimitives.WriteUInt32LittleEndian(element[4..], (uint)key.Length);
            BinaryPrimitives.WriteUInt64LittleEndian(element[8..], page);
            Append(key);
        }

        /// <summary>Writes the node, empties the buffer and returns how many pages it took.</summary>
        public ulong WriteTo(Stream target, ulong id)
        {
            var elementBytes = Count * BoltFormat.ElementBytes;
            var bytes = BoltFormat.PageHeaderBytes + elementBytes + _dataBytes;
            var pages = (bytes + BoltFormat.PageBytes - 1) / BoltFormat.PageBytes;
            Span<byte> header = stackalloc byte[BoltFormat.PageHeaderBytes];
            BoltFormat.WritePageHeader(header, id, kind, Count, (uint)(pages - 1));
            target.Write(header);
            for (var i = 0; i < Count; i++)
            {
                // So far the position counts from the data's begin.
                var position = _elements.AsSpan((i * BoltFormat.ElementBytes) + (kind == BoltPageKind.Leaf ? 4 : 0));
                var fromElement = elementBytes - (i * BoltFormat.ElementBytes) + BinaryPrimitives.ReadUInt32LittleEndian(position);
                BinaryPrimitives.WriteUInt32LittleEndian(position, (uint)fromElement);
            }
            target.Write(_elements, 0, elementBytes);
            target.Write(_data, 0, _dataBytes);
            Span<byte> rest = stackalloc byte[(pages * BoltFormat.PageBytes) - bytes];
            rest.Clear();
            target.Write(rest);
            Count = 0;
            _dataBytes = 0;
            return (ulong)pages;
        }

        private Span<byte> NextElement(ReadOnlySpan<byte> key)
        {
            if (Count == 0)
                FirstKey = key.ToArray();
            var at = Count++ * BoltFormat.ElementBytes;
            if (at + BoltFormat.ElementBytes > _elements.Length)
                Array.Resize(ref _elements, _elements.Length * 2);
            return _elements.AsSpan(at, BoltFormat.ElementBytes);
        }

        private void Append(ReadOnlySpan<byte> bytes)
        {
            if (_dataBytes + bytes.Length > _data.Length)
                Array.Resize(ref _data, Math.Max(_data.Length * 2, _dataBytes + bytes.Length));
            bytes.CopyTo(_data.AsSpan(_dataBytes));
            _dataBytes += bytes.Length;
        }
    }
}
