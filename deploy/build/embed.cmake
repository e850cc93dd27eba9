# cmake -DINPUT=file -DOUTPUT=file.cc -DNAME=Name -P embed.cmake
# A file's bytes as `postern::config::Name()`, an absl::string_view.
file(READ ${INPUT} hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${hex}")
string(REGEX REPLACE "(('[^,]*',)('[^,]*',)('[^,]*',)('[^,]*',)('[^,]*',)('[^,]*',)('[^,]*',)('[^,]*',))" "\\1\n"
       bytes "${bytes}")
file(WRITE ${OUTPUT} "#include \"absl/strings/string_view.h\"
namespace postern::config {
absl::string_view ${NAME}();
absl::string_view ${NAME}() {
static constexpr char kBytes[] = {
${bytes}
};
return absl::string_view(kBytes, sizeof(kBytes));
}
}  // namespace postern::config
")
