using System.Globalization;
using System.Runtime.InteropServices;

namespace Millrace.Columnar.Arrow;

/// <summary>
/// Takes batches of one schema from another library through the Arrow C data interface. Buffers whose layout is ours are wrapped
/// without copying; the array is released when the last of them goes, on whichever thread that is. Other layouts (large offsets, string
/// views, dictionaries, seconds and nanoseconds, fixed-size lists, narrow decimals) are converted.
/// </summary>
/// <remarks>Immutable after construction and thread-safe.</remarks>
public sealed unsafe class ArrowImporter
{
    private readonly ArrowNode[] _nodes;

    /// <summary>Reads and releases <paramref name="schema"/>, which must be a struct. Names that stand twice get a suffix <c>_1</c>.</summary>
    /// <exception cref="NotSupportedException">A column's type has no twin here (unions, run-end encoding).</exception>
    public ArrowImporter(ArrowSchema* schema)
    {
        try
        {
            if (Marshal.PtrToStringUTF8((IntPtr)schema->Format) != "+s")
                throw new NotSupportedException("the Arrow schema is not a struct of columns");
            _nodes = new ArrowNode[schema->ChildCount];
            var names = new string[_nodes.Length];
            var fields = new Field[_nodes.Length];
            var taken = new HashSet<string>(StringComparer.Ordinal);
            for (var i = 0; i < _nodes.Length; i++)
            {
                _nodes[i] = ArrowNode.Read(schema->Children[i]);
                names[i] = _nodes[i].Name;
                fields[i] = new Field(Distinct(names[i], taken), _nodes[i].Type, _nodes[i].Nullable);
            }
            ColumnNames = names;
            Schema = new Schema(fields);
        }
        finally
        {
            if (schema->Release != null)
                schema->Release(schema);
        }
    }

    public Schema Schema { get; }

    /// <summary>The names as given, not made distinct.</summary>
    public IReadOnlyList<string> ColumnNames { get; }

    /// <summary>Takes the array over: <paramref name="array"/> is left released, whatever happens.</summary>
    /// <exception cref="InvalidDataException">The array does not have the schema's shape.</exception>
    public ColumnBatch Import(ArrowArray* array)
    {
        var owner = new ImportedArray(array);
        var columns = new List<Column>(_nodes.Length);
        try
        {
            var root = owner.Array;
            if (root->ChildCount != _nodes.Length)
                throw new InvalidDataException($"an Arrow batch of {root->ChildCount} columns for a schema of {_nodes.Length}");
            var length = checked((int)root->Length);
            for (var i = 0; i < _nodes.Length; i++)
                columns.Add(ArrowColumns.Import(_nodes[i], root->Children[i], owner, root->Offset, length));
            return new ColumnBatch(Schema, length, columns);
        }
        catch
        {
            foreach (var column in columns)
                column.Dispose();
            throw;
        }
        finally
        {
            owner.Dispose();
        }
    }

    private static string Distinct(string name, HashSet<string> taken)
    {
        var distinct = name;
        for (var i = 1; !taken.Add(distinct); i++)
            distinct = string.Create(CultureInfo.InvariantCulture, $"{name}_{i}");
        return distinct;
    }
}

/// <summary>A foreign array in native memory, released when as many <see cref="Dispose"/> as <see cref="Retain"/> (plus one) have come.</summary>
internal sealed unsafe class ImportedArray : IDisposable
{
    private int _references = 1;

    public ImportedArray(ArrowArray* array)
    {
        Array = (ArrowArray*)NativeMemory.Alloc((nuint)sizeof(ArrowArray));
        *Array = *array;
        array->Release = null;
    }

    public ArrowArray* Array { get; private set; }

    public ImportedArray Retain()
    {
        Interlocked.Increment(ref _references);
        return this;
    }

    /// <summary>Thread-safe; also called by finalizers of buffers, which is why it touches native memory only.</summary>
    public void Dispose()
    {
        if (Interlocked.Decrement(ref _references) != 0)
            return;
        if (Array->Release != null)
            Array->Release(Array);
        NativeMemory.Free(Array);
        Array = null;
    }
}
