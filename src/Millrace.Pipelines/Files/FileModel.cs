using System.Collections.Concurrent;
using System.Reflection;

namespace Millrace.Pipelines.Files;

/// <summary>The fields of a file record with what their attributes say: read once by reflection, used by binding, schema and reference.</summary>
internal sealed record FileModel(Type Type, IReadOnlyList<FileModelField> Fields)
{
    private static readonly ConcurrentDictionary<Type, FileModel> Known = new();

    /// <summary>The field that the record's short form is, if it has one.</summary>
    public FileModelField? ShortForm => Fields.FirstOrDefault(f => f.About.ShortForm);

    public static FileModel Of(Type type) => Known.GetOrAdd(type, t => new FileModel(
        t,
        t.GetProperties()
            .Select(p => (Property: p, About: p.GetCustomAttribute<FileFieldAttribute>()))
            .Where(p => p.About is not null)
            .Select(p => new FileModelField(p.Property, p.About!))
            .ToArray()));

    public FileModelField? Find(string name) => Fields.FirstOrDefault(f => f.About.Name == name);
}

internal sealed record FileModelField(PropertyInfo Property, FileFieldAttribute About)
{
    public Type Type => Property.PropertyType;

    public bool IsText => Type == typeof(Text);

    /// <summary>The element type when the field is a map or a list, else null.</summary>
    public Type? Element => Type.IsGenericType ? Type.GetGenericArguments()[0] : null;

    public bool IsMap => Type.IsGenericType && Type.GetGenericTypeDefinition() == typeof(FileMap<>);

    public bool IsList => Type.IsGenericType && Type.GetGenericTypeDefinition() == typeof(FileList<>);
}
