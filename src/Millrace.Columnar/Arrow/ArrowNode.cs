using System.Globalization;
using System.Runtime.InteropServices;

namespace Millrace.Columnar.Arrow;

/// <summary>How an imported array's values become ours.</summary>
internal enum ArrowLayout
{
    /// <summary>The layout is ours: wrap.</summary>
    Same,
    LargeVariable,
    VariableView,
    FixedBinary,
    LargeList,
    FixedList,
    Float16,
    Decimal32,
    Decimal64,
    Date64,

    /// <summary>32-bit time, to be multiplied to microseconds.</summary>
    Time32,

    /// <summary>64-bit time or timestamp, to be multiplied or divided to microseconds.</summary>
    Scaled64,
    IntervalMonths,
    IntervalDaysMillis,
    Dictionary,
}

/// <summary>One field of an imported schema: its type here and how to get it.</summary>
internal sealed unsafe record ArrowNode
{
    // Deep enough for any schema a person writes; a hostile one does not take the stack.
    private const int MaxDepth = 64;

    public required string Name { get; init; }

    public required DataType Type { get; init; }

    public bool Nullable { get; init; }

    public ArrowLayout Layout { get; init; }

    /// <summary>Fixed-size binary and list: bytes or items a row.</summary>
    public int Width { get; init; }

    /// <summary>Times: multiply by this.</summary>
    public long Multiply { get; init; } = 1;

    /// <summary>Times: then divide by this, towards the past.</summary>
    public long Divide { get; init; } = 1;

    /// <summary>Dictionary: the index type's kind.</summary>
    public TypeKind IndexKind { get; init; }

    /// <summary>Dictionary: the values.</summary>
    public ArrowNode? Values { get; init; }

    public IReadOnlyList<ArrowNode> Children { get; init; } = [];

    public static ArrowNode Read(ArrowSchema* schema, int depth = 0)
    {
        if (depth > MaxDepth)
            throw new NotSupportedException($"an Arrow type nested more than {MaxDepth} deep");
        var name = Marshal.PtrToStringUTF8((IntPtr)schema->Name) ?? "";
        var format = Marshal.PtrToStringUTF8((IntPtr)schema->Format) ?? "";
        var nullable = (schema->Flags & ArrowSchema.NullableFlag) != 0;
        if (schema->Dictionary != null)
        {
            var values = Read(schema->Dictionary, depth + 1);
            var index = Flat(format)?.Type.Kind ?? throw Unknown(name, format);
            return new ArrowNode
            {
                Name = name, Type = values.Type, Nullable = nullable, Layout = ArrowLayout.Dictionary, IndexKind = index, Values = values,
            };
        }
        var node = Flat(format) ?? ReadNested(schema, name, format, depth);
        return node with { Name = name, Nullable = nullable };
    }

    private static ArrowNode ReadNested(ArrowSchema* schema, string name, string format, int depth)
    {
        var children = new ArrowNode[schema->ChildCount];
        var supported = format is "+l" or "+L" or "+s" or "+m" || format.StartsWith("+w:", StringComparison.Ordinal);
        if (!supported)
            throw Unknown(name, format);
        for (var i = 0; i < children.Length; i++)
            children[i] = Read(schema->Children[i], depth + 1);
        var fields = children.Select(c => new Field(c.Name, c.Type, c.Nullable)).ToArray();
        return format switch
        {
            "+s" => Make(new DataType(TypeKind.Struct, Children: fields), children),
            "+m" => Make(new DataType(TypeKind.Map, Children: fields), children),
            "+l" => Make(new DataType(TypeKind.List, Children: fields), children),
            "+L" => Make(new DataType(TypeKind.List, Children: fields), children) with { Layout = ArrowLayout.LargeList },
            _ => Make(new DataType(TypeKind.List, Children: fields), children) with { Layout = ArrowLayout.FixedList, Width = Number(format[3..]) },
        };
    }

    private static ArrowNode? Flat(string format)
    {
        if (Plain(format) is { } kind)
            return Make(new DataType(kind));
        if (format.StartsWith("d:", StringComparison.Ordinal))
            return Decimal(format);
        if (format.StartsWith("w:", StringComparison.Ordinal))
            return Make(DataType.Binary) with { Layout = ArrowLayout.FixedBinary, Width = Number(format[2..]) };
        if (format.StartsWith("ts", StringComparison.Ordinal) && format.Length >= 4)
        {
            var node = Make(format.Length > 4 ? DataType.TimestampTz : DataType.Timestamp);
            return Scale(node, format[2], ArrowLayout.Scaled64);
        }
        return format switch
        {
            "U" => Make(DataType.Utf8) with { Layout = ArrowLayout.LargeVariable },
            "Z" => Make(DataType.Binary) with { Layout = ArrowLayout.LargeVariable },
            "vu" => Make(DataType.Utf8) with { Layout = ArrowLayout.VariableView },
            "vz" => Make(DataType.Binary) with { Layout = ArrowLayout.VariableView },
            "e" => Make(new DataType(TypeKind.Float32)) with { Layout = ArrowLayout.Float16 },
            "tdm" => Make(DataType.Date32) with { Layout = ArrowLayout.Date64 },
            "tts" or "ttm" => Scale(Make(new DataType(TypeKind.Time64)), format[2], ArrowLayout.Time32),
            "ttu" or "ttn" => Scale(Make(new DataType(TypeKind.Time64)), format[2], ArrowLayout.Scaled64),
            "tiM" => Make(new DataType(TypeKind.Interval)) with { Layout = ArrowLayout.IntervalMonths },
            "tiD" => Make(new DataType(TypeKind.Interval)) with { Layout = ArrowLayout.IntervalDaysMillis },
            _ => null,
        };
    }

    private static TypeKind? Plain(string format) => format switch
    {
        "n" => TypeKind.Null,
        "b" => TypeKind.Boolean,
        "c" => TypeKind.Int8,
        "C" => TypeKind.UInt8,
        "s" => TypeKind.Int16,
        "S" => TypeKind.UInt16,
        "i" => TypeKind.Int32,
        "I" => TypeKind.UInt32,
        "l" => TypeKind.Int64,
        "L" => TypeKind.UInt64,
        "f" => TypeKind.Float32,
        "g" => TypeKind.Float64,
        "u" => TypeKind.Utf8,
        "z" => TypeKind.Binary,
        "tdD" => TypeKind.Date32,
        "tin" => TypeKind.Interval,
        _ => null,
    };

    private static ArrowNode Decimal(string format)
    {
        var parts = format[2..].Split(',');
        var node = Make(new DataType(TypeKind.Decimal128, Number(parts[0]), Number(parts[1])));
        return (parts.Length > 2 ? parts[2] : "128") switch
        {
            "128" => node,
            "64" => node with { Layout = ArrowLayout.Decimal64 },
            "32" => node with { Layout = ArrowLayout.Decimal32 },
            _ => throw Unknown("", format),
        };
    }

    private static ArrowNode Scale(ArrowNode node, char unit, ArrowLayout layout) => unit switch
    {
        's' => node with { Layout = layout, Multiply = 1_000_000 },
        'm' => node with { Layout = layout, Multiply = 1_000 },
        'n' => node with { Layout = layout, Divide = 1_000 },
        _ => node,
    };

    private static ArrowNode Make(DataType type, IReadOnlyList<ArrowNode>? children = null) =>
        new() { Name = "", Type = type, Children = children ?? [] };

    private static int Number(string text) => int.Parse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);

    private static NotSupportedException Unknown(string name, string format) =>
        new($"column '{name}' has the Arrow format '{format}', which is not taken; cast it to another type");
}
