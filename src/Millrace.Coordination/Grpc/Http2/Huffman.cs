namespace Millrace.Coordination.Grpc.Http2;

/// <summary>The code of RFC 7541, appendix B. It is canonical, so the lengths of the codes say all.</summary>
internal static class Huffman
{
    private const int EndOfString = 256;

    private static ReadOnlySpan<byte> Lengths =>
    [
        13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
        6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
        13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
        15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
        20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
        22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
        26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
        20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
        30,
    ];

    /// <summary>Two numbers a node: where a 0 and a 1 lead; negative: the symbol, less one.</summary>
    private static readonly short[] Tree = Build();

    /// <summary>Returns how many bytes came out; -1 when the source is no code or the target too small.</summary>
    public static int Decode(ReadOnlySpan<byte> source, Span<byte> target)
    {
        var node = 0;
        var length = 0;
        var depth = 0;
        var isPadding = true;
        foreach (var octet in source)
        {
            for (var bit = 7; bit >= 0; bit--)
            {
                var one = (octet >> bit) & 1;
                isPadding = (depth == 0 || isPadding) && one == 1;
                node = Tree[(node * 2) + one];
                depth++;
                if (node >= 0)
                    continue;
                var symbol = -node - 1;
                if (symbol == EndOfString || length == target.Length)
                    return -1;
                target[length++] = (byte)symbol;
                node = 0;
                depth = 0;
                isPadding = true;
            }
        }
        // What is left must be less than an octet of the end's code, which is all ones.
        return depth < 8 && isPadding ? length : -1;
    }

    private static short[] Build()
    {
        var tree = new List<short> { 0, 0 };
        uint code = 0;
        for (var length = 1; length <= 30; length++)
        {
            for (var symbol = 0; symbol <= EndOfString; symbol++)
            {
                if (Lengths[symbol] == length)
                    Add(tree, code++, length, symbol);
            }
            code <<= 1;
        }
        return [.. tree];
    }

    private static void Add(List<short> tree, uint code, int length, int symbol)
    {
        var node = 0;
        for (var bit = length - 1; bit > 0; bit--)
        {
            var slot = (node * 2) + (int)((code >> bit) & 1);
            if (tree[slot] == 0)
            {
                tree[slot] = (short)(tree.Count / 2);
                tree.AddRange([0, 0]);
            }
            node = tree[slot];
        }
        tree[(node * 2) + (int)(code & 1)] = (short)(-symbol - 1);
    }
}
