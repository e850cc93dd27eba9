# postern_room(<name> SOURCES ... [DEPENDS rooms...] [LIBS targets...] [OBJECT])
# One room of server/ as library postern_<name>. DEPENDS are the arrows of ARCHITECTURE.md.
# OBJECT: every object file goes into the program, also one that nothing there calls (hook bodies).
function(postern_room name)
  cmake_parse_arguments(ROOM "OBJECT" "" "SOURCES;DEPENDS;LIBS" ${ARGN})
  if(ROOM_OBJECT)
    add_library(postern_${name} OBJECT ${ROOM_SOURCES})
  else()
    add_library(postern_${name} STATIC ${ROOM_SOURCES})
  endif()
  list(TRANSFORM ROOM_DEPENDS PREPEND postern_)
  target_link_libraries(postern_${name} PUBLIC ${ROOM_DEPENDS} ${ROOM_LIBS} PRIVATE postern_flags)
endfunction()

# postern_unit_test(<room> SOURCES ... [LIBS targets...])
# All unit tests of one room in one program unit_<room>; ctest sees each test by its name.
function(postern_unit_test room)
  cmake_parse_arguments(TEST "" "" "SOURCES;LIBS" ${ARGN})
  add_executable(unit_${room} ${TEST_SOURCES})
  if(TARGET postern_${room})
    target_link_libraries(unit_${room} PRIVATE postern_${room})
  endif()
  target_link_libraries(unit_${room} PRIVATE ${TEST_LIBS} postern_flags GTest::gmock_main)
  # What is tested is built as it ships; the tests themselves compile in two thirds of the time so.
  # (At -O1 gcc 12 misjudges Asio's allocations, see flags.cmake.)
  target_compile_options(unit_${room} PRIVATE
    $<$<CONFIG:RelWithDebInfo>:-O1 $<$<COMPILE_LANGUAGE:CXX>:-Wno-mismatched-new-delete>>)
  add_test(NAME unit_${room} COMMAND unit_${room})
  math(EXPR limit "120 * ${POSTERN_TEST_TIME_SCALE}")
  set_tests_properties(unit_${room} PROPERTIES LABELS unit TIMEOUT ${limit})
endfunction()
