using System.Numerics;
using Millrace.Columnar;
using Millrace.Streams.Checks.Rules;
using Millrace.Streams.Plans;

namespace Millrace.Streams.Checks.Unique;

/// <summary>A unique rule over the rows of one batch after another. Rows whose key has a null are unique (not_null says otherwise).</summary>
internal sealed class UniqueRule
{
    private readonly string[] _names;
    private readonly int[] _columns;
    private RowKey[] _keys = [];
    private ColumnBatch? _batch;
    private byte[] _buffer = new byte[256];

    public UniqueRule(int index, UniqueCheck plan, Schema schema, UniqueOptions options)
    {
        Index = index;
        Plan = plan;
        _columns = plan.Columns.Select(c => RuleCompiler.IndexOf(plan, schema, c)).ToArray();
        _names = plan.Columns.ToArray();
        foreach (var column in _columns)
        {
            if (schema[column].Type.Children is not null || schema[column].Type.Kind == TypeKind.Null)
                throw new ArgumentException($"'{plan.Text}': {schema[column].Name} is {schema[column].Type} and cannot be compared");
        }
        Store = new UniqueStore($"{string.Join(",", plan.Columns)}@{(long)plan.Within.TotalMilliseconds}", plan.Within, options);
    }

    public int Index { get; }

    public UniqueCheck Plan { get; }

    public UniqueStore Store { get; }

    /// <summary>Takes the keys of a batch's rows.</summary>
    public void Begin(ColumnBatch batch)
    {
        _batch = batch;
        if (_keys.Length < batch.RowCount)
            _keys = new RowKey[BitOperations.RoundUpToPowerOf2((uint)batch.RowCount)];
        if (_columns.Length == 1 && batch.Columns[_columns[0]] is { Type.IsVariable: true } text)
        {
            for (var row = 0; row < batch.RowCount; row++)
                _keys[row] = text.IsNull(row) ? default : RowKey.Of(text.GetBytes(row));
            return;
        }
        for (var row = 0; row < batch.RowCount; row++)
            _keys[row] = KeyOf(batch, row);
    }

    public bool IsDuplicate(int row, long micros) => _keys[row] != default && Store.Contains(_keys[row], micros);

    public void Remember(int row, long micros)
    {
        if (_keys[row] != default)
            Store.Add(_keys[row], micros);
    }

    public string Render(ColumnBatch batch, int row)
    {
        var values = _columns.Select((c, i) => CheckResult.Reason("", _names[i], batch.Columns[c], row)[2..]);
        return $"{Plan.Text}: {string.Join(", ", values)} was seen before";
    }

    private RowKey KeyOf(ColumnBatch batch, int row)
    {
        var length = 0;
        foreach (var index in _columns)
        {
            var column = batch.Columns[index];
            if (column.IsNull(row))
                return default;
            if (column.Type.IsVariable)
            {
                // The length keeps ('ab', 'c') apart from ('a', 'bc').
                var bytes = column.GetBytes(row);
                Reserve(length + bytes.Length + sizeof(int));
                System.Buffers.Binary.BinaryPrimitives.WriteInt32LittleEndian(_buffer.AsSpan(length), bytes.Length);
                bytes.CopyTo(_buffer.AsSpan(length + sizeof(int)));
                length += bytes.Length + sizeof(int);
                continue;
            }
            Reserve(length + 16);
            length += WriteFixed(column, row, _buffer.AsSpan(length));
        }
        return RowKey.Of(_buffer.AsSpan(0, length));
    }

    private static unsafe int WriteFixed(Column column, int row, Span<byte> target)
    {
        switch (column.Type.Kind)
        {
            case TypeKind.Boolean:
                target[0] = column.GetBoolean(row) ? (byte)1 : (byte)0;
                return 1;
            case TypeKind.Float64:
                // 0 and -0 are equal.
                System.Buffers.Binary.BinaryPrimitives.WriteDoubleLittleEndian(target, column.Values<double>()[row] + 0.0);
                return 8;
            case TypeKind.Float32:
                System.Buffers.Binary.BinaryPrimitives.WriteSingleLittleEndian(target, column.Values<float>()[row] + 0.0f);
                return 4;
            default:
                var width = column.Type.Width;
                new ReadOnlySpan<byte>(column.ValuesBuffer!.Pointer + ((long)(column.Offset + row) * width), width).CopyTo(target);
                return width;
        }
    }

    private void Reserve(int length)
    {
        if (length > _buffer.Length)
            Array.Resize(ref _buffer, (int)BitOperations.RoundUpToPowerOf2((uint)length));
    }
}
