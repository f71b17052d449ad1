using System.Globalization;
using System.Text;
using Millrace.Columnar;
using Millrace.Columnar.Arrow;
using Millrace.DuckDb.Native;

namespace Millrace.DuckDb;

/// <summary>A prepared statement. Parameters count from 1. One thread at a time.</summary>
public sealed unsafe class DuckDbStatement : IDisposable
{
    private static readonly DateTime Epoch = DateTime.UnixEpoch;

    private readonly StatementHandle _handle;
    private readonly string _sql;

    // The result's shape seldom changes between runs (parameters of other types, a changed table).
    private ArrowImporter? _importer;
    private ArrowOptionsHandle? _options;

    internal DuckDbStatement(StatementHandle handle, string sql)
    {
        _handle = handle;
        _sql = sql;
        Type = (DuckDbStatementType)NativeMethods.duckdb_prepared_statement_type(handle);
    }

    public DuckDbStatementType Type { get; }

    public int ParameterCount => (int)NativeMethods.duckdb_nparams(_handle);

    /// <summary>The parameter's type where DuckDB can tell it before it is bound, else <see cref="DuckDbType.Invalid"/>.</summary>
    public DuckDbType ParameterType(int index) => (DuckDbType)NativeMethods.duckdb_param_type(_handle, (ulong)index);

    /// <summary>The result's columns, as known before the run, or null when they depend on parameters.</summary>
    public Schema? DescribeColumns()
    {
        var count = (int)NativeMethods.duckdb_prepared_statement_column_count(_handle);
        var types = new nint[count];
        var names = new nint[count];
        try
        {
            for (var i = 0; i < count; i++)
            {
                types[i] = NativeMethods.duckdb_prepared_statement_column_logical_type(_handle, (ulong)i);
                names[i] = (nint)NativeMethods.duckdb_prepared_statement_column_name(_handle, (ulong)i);
                if (types[i] == 0 || NativeMethods.duckdb_get_type_id(types[i]) == (int)DuckDbType.Invalid)
                    return null;
            }
            return ResultSchema.Read(Options().Value, types, names, _sql).Schema;
        }
        finally
        {
            foreach (var type in types)
                ResultSchema.Destroy(type);
            foreach (var name in names)
                NativeMethods.duckdb_free((void*)name);
        }
    }

    /// <summary>The result's columns by DuckDB's own names and types, as known before the run; null when they depend on parameters.</summary>
    public IReadOnlyList<DuckDbColumn>? Columns()
    {
        var columns = new DuckDbColumn[NativeMethods.duckdb_prepared_statement_column_count(_handle)];
        for (var i = 0; i < columns.Length; i++)
        {
            var type = NativeMethods.duckdb_prepared_statement_column_logical_type(_handle, (ulong)i);
            var name = NativeMethods.duckdb_prepared_statement_column_name(_handle, (ulong)i);
            try
            {
                if (type == 0)
                    return null;
                columns[i] = DuckDbColumn.Read(Text.Read(name) ?? "", type);
                if (columns[i].Type == DuckDbType.Invalid)
                    return null;
            }
            finally
            {
                ResultSchema.Destroy(type);
                NativeMethods.duckdb_free(name);
            }
        }
        return columns;
    }

    public void ClearBindings() => Check(NativeMethods.duckdb_clear_bindings(_handle), 0);

    public void BindNull(int index) => Check(NativeMethods.duckdb_bind_null(_handle, (ulong)index), index);

    public void Bind(int index, bool value) => Check(NativeMethods.duckdb_bind_boolean(_handle, (ulong)index, value), index);

    public void Bind(int index, short value) => Check(NativeMethods.duckdb_bind_int16(_handle, (ulong)index, value), index);

    public void Bind(int index, int value) => Check(NativeMethods.duckdb_bind_int32(_handle, (ulong)index, value), index);

    public void Bind(int index, long value) => Check(NativeMethods.duckdb_bind_int64(_handle, (ulong)index, value), index);

    public void Bind(int index, ulong value) => Check(NativeMethods.duckdb_bind_uint64(_handle, (ulong)index, value), index);

    public void Bind(int index, float value) => Check(NativeMethods.duckdb_bind_float(_handle, (ulong)index, value), index);

    public void Bind(int index, double value) => Check(NativeMethods.duckdb_bind_double(_handle, (ulong)index, value), index);

    /// <summary>A HUGEINT.</summary>
    public void Bind(int index, Int128 value) => Check(NativeMethods.duckdb_bind_hugeint(_handle, (ulong)index, HugeInt(value)), index);

    /// <summary>A DECIMAL(precision, scale) whose digits are <paramref name="unscaled"/>.</summary>
    public void BindDecimal(int index, Int128 unscaled, int precision, int scale) => Check(
        NativeMethods.duckdb_bind_decimal(_handle, (ulong)index, new NativeDecimal((byte)precision, (byte)scale, HugeInt(unscaled))), index);

    public void Bind(int index, string value) => BindText(index, Encoding.UTF8.GetBytes(value));

    /// <summary>A VARCHAR; the bytes must be valid UTF-8.</summary>
    public void BindText(int index, ReadOnlySpan<byte> utf8)
    {
        fixed (byte* bytes = utf8)
        {
            var empty = (byte)0;
            Check(NativeMethods.duckdb_bind_varchar_length(_handle, (ulong)index, bytes == null ? &empty : bytes, (ulong)utf8.Length), index);
        }
    }

    public void BindBlob(int index, ReadOnlySpan<byte> value)
    {
        fixed (byte* bytes = value)
        {
            var empty = (byte)0;
            Check(NativeMethods.duckdb_bind_blob(_handle, (ulong)index, bytes == null ? &empty : bytes, (ulong)value.Length), index);
        }
    }

    /// <summary>A DATE in days since 1970-01-01.</summary>
    public void BindDate(int index, int days) => Check(NativeMethods.duckdb_bind_date(_handle, (ulong)index, days), index);

    /// <summary>A TIME in microseconds since midnight.</summary>
    public void BindTime(int index, long micros) => Check(NativeMethods.duckdb_bind_time(_handle, (ulong)index, micros), index);

    /// <summary>A TIMESTAMP without zone in microseconds since 1970-01-01T00:00.</summary>
    public void BindTimestamp(int index, long micros) => Check(NativeMethods.duckdb_bind_timestamp(_handle, (ulong)index, micros), index);

    /// <summary>A TIMESTAMPTZ in microseconds since 1970-01-01T00:00Z.</summary>
    public void BindTimestampTz(int index, long micros) => Check(NativeMethods.duckdb_bind_timestamp_tz(_handle, (ulong)index, micros), index);

    public void BindInterval(int index, IntervalValue value) => Check(
        NativeMethods.duckdb_bind_interval(_handle, (ulong)index, new NativeInterval(value.Months, value.Days, value.Nanoseconds / 1000)), index);

    /// <summary>Binds by the value's own type; see <see cref="DuckDbConnection.Query"/> for what is taken.</summary>
    /// <exception cref="ArgumentException">The type is not taken.</exception>
    public void Bind(int index, object? value)
    {
        switch (value)
        {
            case null: BindNull(index); break;
            case bool v: Bind(index, v); break;
            case short v: Bind(index, v); break;
            case int v: Bind(index, v); break;
            case long v: Bind(index, v); break;
            case ulong v: Bind(index, v); break;
            case float v: Bind(index, v); break;
            case double v: Bind(index, v); break;
            case Int128 v: Bind(index, v); break;
            case decimal v: BindDecimal(index, v); break;
            case string v: Bind(index, v); break;
            case byte[] v: BindBlob(index, v); break;
            case DateOnly v: BindDate(index, v.DayNumber - DateOnly.FromDateTime(Epoch).DayNumber); break;
            case TimeOnly v: BindTime(index, v.Ticks / TimeSpan.TicksPerMicrosecond); break;
            case DateTime v: BindTimestamp(index, (v - Epoch).Ticks / TimeSpan.TicksPerMicrosecond); break;
            case DateTimeOffset v: BindTimestampTz(index, (v.UtcDateTime - Epoch).Ticks / TimeSpan.TicksPerMicrosecond); break;
            case Guid v: Bind(index, v.ToString("D", CultureInfo.InvariantCulture)); break;
            case IntervalValue v: BindInterval(index, v); break;
            default: throw new ArgumentException($"a parameter of {value.GetType()} is not taken", nameof(value));
        }
    }

    /// <summary>Runs with the bound parameters.</summary>
    /// <param name="streaming">
    /// Rows are made as they are read, in little memory, and the connection is busy until the result is read or disposed of; else all rows are
    /// made at once, which is quicker for few.
    /// </param>
    /// <exception cref="DuckDbException">The statement failed.</exception>
    public DuckDbResult Execute(bool streaming = false)
    {
        var result = new ResultHandle(_handle);
        try
        {
            var state = streaming && Type == DuckDbStatementType.Select
                ? NativeMethods.duckdb_execute_prepared_streaming(_handle, result.Pointer)
                : NativeMethods.duckdb_execute_prepared(_handle, result.Pointer);
            if (state != NativeState.Success)
                throw ResultSchema.ErrorOf(result, _sql);
            if (_importer is null || !ResultSchema.Matches(result, _importer))
                _importer = ResultSchema.Read(result, Options().Value, _sql);
            return new DuckDbResult(result, _importer, Options(), Type, _sql);
        }
        catch
        {
            result.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        _handle.Dispose();
        _options?.Dispose();
    }

    internal void BindAll(ReadOnlySpan<object?> parameters)
    {
        for (var i = 0; i < parameters.Length; i++)
            Bind(i + 1, parameters[i]);
    }

    private ArrowOptionsHandle Options()
    {
        if (_options is null)
        {
            NativeMethods.duckdb_connection_get_arrow_options(_handle.Connection, out var options);
            _options = new ArrowOptionsHandle(options);
        }
        return _options;
    }

    private void BindDecimal(int index, decimal value)
    {
        Span<int> parts = stackalloc int[4];
        decimal.GetBits(value, parts);
        var unscaled = new Int128((uint)parts[2], ((ulong)(uint)parts[1] << 32) | (uint)parts[0]);
        BindDecimal(index, value < 0 ? -unscaled : unscaled, 38, (parts[3] >> 16) & 0xFF);
    }

    private static NativeHugeInt HugeInt(Int128 value) => new((ulong)value, (long)(value >> 64));

    private void Check(NativeState state, int index)
    {
        if (state == NativeState.Success)
            return;
        var count = ParameterCount;
        throw new DuckDbException(
            index > count ? $"parameter {index} is bound and the statement has {count}" : $"parameter {index} cannot be bound",
            DuckDbErrorType.InvalidInput);
    }
}
